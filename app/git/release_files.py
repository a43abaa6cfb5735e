"""The files of one commit in a mirror: their paths, and the text of single ones."""

from __future__ import annotations

from app.git.mirror import Mirror
from app.git.process import run_git

MOST_TEXT = 3_000_000
"""Bytes of a file whose lines are looked at."""

MOST_PATHS = 64 * 1024**2
"""Bytes of the list of files."""


def file_paths(mirror: Mirror, commit: str) -> list[str]:
    """The paths of all files of a commit; names that are no UTF-8 are left out.

    Raises `GitError`; `GitTooMuch` for a list without end.
    """
    listed = run_git(
        mirror.git_dir,
        *("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit),
        timeout_s=mirror.limits.command_s,
        most_memory=mirror.limits.memory_bytes,
        most_output=MOST_PATHS,
    )
    found = []
    for name in listed.split(b"\0"):
        try:
            found.append(name.decode("utf-8"))
        except UnicodeDecodeError:
            continue
    return [path for path in found if path]


def file_text(mirror: Mirror, commit: str, path: str) -> str:
    """A file's text at a commit. Raises `GitError`; `GitTooMuch` for a very large one."""
    return run_git(
        mirror.git_dir,
        *("cat-file", "blob", f"{commit}:{path}"),
        timeout_s=mirror.limits.command_s,
        most_memory=mirror.limits.memory_bytes,
        most_output=MOST_TEXT,
    ).decode("utf-8", "replace")
