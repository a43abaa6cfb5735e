"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to beside `path`, which it replaces at the end of the block.

    After an error what was written stays as a `.part` file, which the next try overwrites.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    yield half
    half.replace(path)


def write_whole(path: Path, text: str) -> None:
    """Write a text file in one go."""
    with whole_file(path) as half:
        half.write_text(text, "utf-8")
