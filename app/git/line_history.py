"""Which commits last changed some lines of a file, as a mirror's history has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.git.mirror import Mirror
from app.git.process import run_git

Lines = tuple[int, int]
"""The first and the last line, counted from 1."""
MOST_SECONDS = 20.0
"""For one file; git reads the whole history of lines that nobody has changed."""


def last_changes(mirror: Mirror, commit: str, lines: Mapping[str, Sequence[Lines]]) -> list[str]:
    """The commits that last changed these lines of these files, the newest first.

    `commit` is the one whose lines they are. Raises `GitError`.
    """
    found: dict[str, int] = {}
    for path, ranges in lines.items():
        told = run_git(
            mirror.git_dir,
            # Never through a program that makes text of files, whatever attributes say.
            *("blame", "--no-textconv", "--incremental"),
            *(f"-L{first},{last}" for first, last in ranges),
            *(commit, "--", path),
            timeout_s=min(MOST_SECONDS, mirror.limits.command_s),
            most_memory=mirror.limits.memory_bytes,
        )
        of = ""
        for line in told.split(b"\n"):
            word, _, rest = line.partition(b" ")
            if len(word) in (40, 64) and rest[:1].isdigit():
                of = word.decode()
            elif word == b"committer-time":
                found[of] = int(rest)
    return sorted(found, key=lambda each: found[each], reverse=True)
