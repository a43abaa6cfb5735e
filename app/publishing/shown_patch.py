"""A patch as a comment shows it: whole if it fits, without lines that may hold a secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from app.sanitize.markdown import Markdown, fenced, units

WITHHELD = "[a line that may hold a secret is left out here]"
_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(?P<line>\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class ShownPatch:
    """A part of a patch, or all of it, as a code block."""

    text: Markdown
    """Empty: nothing of it fits or may be shown."""
    files: int
    """How many of its files are shown whole."""
    of: int
    exact: bool
    """Whether what is shown is the patch's own text, so that it can be applied."""


def show_patch(
    patch: str,
    room: int,
    places: tuple[str, ...] = (),
    size: Callable[[str], int] = units,
) -> ShownPatch:
    """As many of the patch's files as fit in `room`, by `size`, from the first one on.

    Lines at `places` (`path:line` of the new file) are left out.
    """
    withheld = withhold(patch, frozenset(places))
    parts = split_files(withheld)
    text, shown = Markdown(""), 0
    # As a block it is no shorter than its own text.
    sizes = list(accumulate(size(part) for part in parts))
    for count in range(sum(each <= room for each in sizes), 0, -1):
        whole = "".join(parts[:count]).strip("\n")
        text = fenced(whole, "diff", limit=max(room, 1) * 2)
        if size(text) <= room:
            shown = count
            break
    if not shown:
        text = Markdown("")
    own = "".join(split_files(patch)[:shown]).strip("\n")
    exact = bool(text) and text.strip("\n").split("\n", 1)[1].rsplit("\n", 1)[0] == own
    return ShownPatch(text, shown, len(parts), exact)


def split_files(patch: str) -> list[str]:
    """The patch, cut before each file's header."""
    starts = [match.start() for match in re.finditer(r"^diff --git ", patch, re.M)] or [0]
    ends = [*starts[1:], len(patch)]
    return [patch[start:end] for start, end in zip(starts, ends, strict=True) if start < end]


def withhold(patch: str, places: frozenset[str]) -> str:
    """The patch without the text of the added lines at these places (`path:line`)."""
    if not places:
        return patch
    path, number, out = "", 0, []
    for line in patch.split("\n"):
        if line.startswith("+++ "):
            path = line[4:].removeprefix("b/").split("\t")[0]
        elif hunk := _HUNK.match(line):
            number = int(hunk["line"])
        elif line.startswith("+"):
            line = f"+{WITHHELD}" if f"{path}:{number}" in places else line
            number += 1
        elif line.startswith(" "):
            number += 1
        out.append(line)
    return "\n".join(out)
