"""Whether what was merged is what was proven: the lines that two patches remove and add.

Where they stand in a file, and the lines around them, are no part of it: the base branch may have
moved meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

Changes = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""Of each file the lines that go and those that come, in order."""


class NotReadable(ValueError):
    """The patch cannot be read."""


def changes(patch: str) -> Changes:
    """What a patch changes. Raises `NotReadable`."""
    try:
        files = PatchSet(patch)
    except UnidiffParseError as error:
        raise NotReadable(str(error)) from None
    found = {}
    for file in files:
        lines = [line for hunk in file for line in hunk]
        gone = tuple(line.value for line in lines if line.is_removed)
        come = tuple(line.value for line in lines if line.is_added)
        found[file.path] = (gone, come)
    return found


def edited_lines(proven: Changes, merged: Changes) -> int:
    """How many lines are in one of them only; 0: they are the same.

    Lines that only changed their order count as one.
    """
    if proven == merged:
        return 0
    one, other = _counted(proven), _counted(merged)
    return max(1, (one - other).total() + (other - one).total())


def undoes(later: Changes, merged: Changes) -> bool:
    """Whether a change takes back at least half of another's lines, in whatever files."""
    own: Counter[tuple[str, str]] = Counter()
    for gone, come in merged.values():
        own.update(("-", line.strip()) for line in come if line.strip())
        own.update(("+", line.strip()) for line in gone if line.strip())
    back: Counter[tuple[str, str]] = Counter()
    for gone, come in later.values():
        back.update(("-", line.strip()) for line in gone)
        back.update(("+", line.strip()) for line in come)
    return 2 * (own & back).total() >= own.total() > 0


def _counted(found: Changes) -> Counter[tuple[str, str, str]]:
    return Counter(
        (path, sign, line)
        for path, sides in found.items()
        for sign, lines in zip("-+", sides, strict=True)
        for line in lines
    )
