"""Small files of a repository, read from its mirror at a commit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.git.mirror import Mirror
from app.git.process import GitFailed, run_git

LIMIT_BYTES = 3_000_000


def first_file(git_dir: Path, commit: str, places: Sequence[str]) -> bytes | None:
    """The content of the first of these paths that is a regular file; case is ignored.

    None when there is none, or it is too long. Raises `GitError`.
    """
    folders = dict.fromkeys(place.rpartition("/")[0] for place in places)
    there: dict[str, tuple[str, int]] = {}
    for folder in folders:
        there |= _files_in(git_dir, commit, folder)
    for place in places:
        found = there.get(place.casefold())
        if found and found[1] <= LIMIT_BYTES:
            return run_git(git_dir, "cat-file", "blob", found[0])
    return None


def listed_files(mirror: Mirror, commit: str) -> list[str]:
    """The paths of all files of a commit. Raises `GitError`."""
    listed = run_git(
        mirror.git_dir,
        *("ls-tree", "-r", "-z", "--name-only", commit),
        timeout_s=mirror.limits.command_s,
        most_memory=mirror.limits.memory_bytes,
    )
    return [path for path in listed.decode("utf-8", "replace").split("\0") if path]


def _files_in(git_dir: Path, commit: str, folder: str) -> dict[str, tuple[str, int]]:
    """Object and size of each regular file directly in a folder, by its path in lower case."""
    # GitHub takes the folder's name as it is, but the file's in any case.
    tree = f"{commit}:{folder}" if folder else commit
    try:
        listed = run_git(git_dir, "ls-tree", "-l", "-z", tree)
    except GitFailed:
        return {}  # no such folder
    found = {}
    for entry in listed.split(b"\0"):
        facts, _, name = entry.partition(b"\t")
        fields = facts.split()
        if len(fields) == 4 and fields[0].startswith(b"100"):
            path = name.decode("utf-8", errors="replace")
            full = f"{folder}/{path}" if folder else path
            found[full.casefold()] = fields[2].decode(), int(fields[3])
    return found
