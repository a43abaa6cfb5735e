"""Two snapshots beside each other: per file, what each changed against the base."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FILE = re.compile(r"^diff --git .*$", re.MULTILINE)
_NAME = re.compile(r"^diff --git (?:\"?a/.*?\"?) \"?b/(.*?)\"?$")


@dataclass(frozen=True, slots=True)
class FilePair:
    """A file in both snapshots; an empty side means that it is as in the base there."""

    path: str
    left: str
    right: str

    @property
    def same(self) -> bool:
        """Whether both changed it alike."""
        return self.left == self.right


def compare(left: str, right: str) -> list[FilePair]:
    """The files that either patch changes; those that differ come first."""
    a, b = sections(left), sections(right)
    pairs = [FilePair(path, a.get(path, ""), b.get(path, "")) for path in sorted(a | b)]
    return sorted(pairs, key=lambda pair: pair.same)


def sections(patch: str) -> dict[str, str]:
    """A patch's part per file."""
    starts = [found.start() for found in _FILE.finditer(patch)]
    ends = [*starts[1:], len(patch)][: len(starts)]
    parts = (patch[start:end] for start, end in zip(starts, ends, strict=True))
    return {_name(part.partition("\n")[0]): part for part in parts}


def _name(line: str) -> str:
    found = _NAME.match(line)
    return found[1] if found else line
