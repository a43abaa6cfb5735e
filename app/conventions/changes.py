"""A project's last changes as its history has them, for what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

from app.git.mirror import Mirror
from app.git.process import run_git

MOST_CHANGES = 600
"""So many of the default branch's last changes are read."""
_MOST_SECONDS = 30.0
_MOST_FILES = 300
"""Of one change; a larger one tells nothing about fixes."""


@dataclass(frozen=True, slots=True)
class ChangedPath:
    """One file of a change."""

    path: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class PastChange:
    """What one step of the default branch changed: a commit, or a merged pull request."""

    subject: str
    body: str
    author: str
    files: tuple[ChangedPath, ...] = ()
    merges: bool = False


def last_changes(mirror: Mirror, commit: str, most: int = MOST_CHANGES) -> tuple[PastChange, ...]:
    """The last steps that led to a commit, the newest first. Raises `GitError`.

    A merge counts as one step, with all that it brought: a change log is often in a commit of its
    own.
    """
    told = run_git(
        mirror.git_dir,
        *("log", "--first-parent", "--diff-merges=first-parent", "--no-renames", "--name-status"),
        *(f"--max-count={most}", "-z", "--format=%x01%P%x02%an%x02%s%x02%b%x02", commit),
        timeout_s=min(_MOST_SECONDS, mirror.limits.command_s),
        most_memory=mirror.limits.memory_bytes,
    )
    return read_log(told.decode("utf-8", "replace"))


def last_messages(mirror: Mirror, commit: str, most: int = 200) -> tuple[PastChange, ...]:
    """The last commits that are no merges, without their files, the newest first."""
    told = run_git(
        mirror.git_dir,
        *("log", "--no-merges", f"--max-count={most}", "-z"),
        *("--format=%x01%P%x02%an%x02%s%x02%b%x02", commit),
        timeout_s=min(_MOST_SECONDS, mirror.limits.command_s),
        most_memory=mirror.limits.memory_bytes,
    )
    return read_log(told.decode("utf-8", "replace"))


def read_log(told: str) -> tuple[PastChange, ...]:
    """The changes in what `git log` printed in this form."""
    found = []
    for entry in told.split("\x01")[1:]:
        fields = entry.split("\x02", 4)
        if len(fields) < 5:
            continue
        parents, author, subject, body, rest = fields
        words = [word.strip("\n") for word in rest.split("\0")]
        words = [word for word in words if word]
        files = [
            ChangedPath(path, status.startswith("A"))
            for status, path in zip(words[0::2], words[1::2], strict=False)
        ]
        found.append(
            PastChange(
                subject=subject,
                body=body[:4000],
                author=author,
                files=tuple(files) if len(files) <= _MOST_FILES else (),
                merges=" " in parents,
            )
        )
    return tuple(found)
