"""Files that are written completely or not at all, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write to beside `path`, which it replaces at the end of the block.

    After an error what was written stays as a `.part` file, which the next try overwrites.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    yield partial
    partial.replace(path)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file in one go."""
    with atomic_file(path) as partial:
        partial.write_text(text, "utf-8")
