"""What a commit of the mirror changes, file by file, for GitHub to make the same commit itself."""

from __future__ import annotations

from dataclasses import dataclass

from app.git.mirror import Mirror
from app.git.process import GitError, run_git

MOST_BYTES = 30_000_000
"""All files together: a request is 4/3 as long, and GitHub takes none beyond about 50 MB
(Songmu/action-push-to-another-repository#37)."""
_PLAIN, _EXECUTABLE = "100644", "100755"


class NotCarried(GitError):
    """GitHub's API cannot make this commit; the message says why."""


@dataclass(frozen=True, slots=True)
class CommitContent:
    """A commit with its whole difference to its one parent."""

    parent: str
    tree: str
    message: str
    additions: tuple[tuple[str, bytes], ...]
    """Path and content of each new or changed file."""
    deletions: tuple[str, ...]


def commit_content(mirror: Mirror, commit: str) -> CommitContent:
    """What a commit of the mirror is. Raises `NotCarried`.

    `createCommitOnBranch` knows files and their bytes, and writes each with the mode 100644
    (babarot/gh-infra#167); neither merges, nor links, nor submodules.
    """
    head = _git(mirror, "log", "-1", "--format=%P%x00%T%x00%B", commit).decode("utf-8", "replace")
    parents, tree, message = head.split("\0", 2)
    if len(parents.split()) != 1:
        raise NotCarried("GitHub's API makes no merges.")
    raw = _git(mirror, "diff-tree", "-r", "-z", "--raw", "--no-renames", parents, commit)
    fields = raw.split(b"\0")
    additions, deletions, total = [], [], 0
    for header, name in zip(fields[0:-1:2], fields[1::2], strict=False):
        _, mode, _, blob = header.decode().lstrip(":").split(" ")[:4]
        path = name.decode("utf-8", "surrogateescape")
        if not path.isprintable():
            raise NotCarried("GitHub's API takes no path with such characters.")
        if mode == "000000":
            deletions.append(path)
            continue
        if mode == _EXECUTABLE:
            raise NotCarried(f"{path} is executable, which GitHub's API would undo.")
        if mode != _PLAIN:
            raise NotCarried(f"{path} is a link or a submodule, which GitHub's API cannot make.")
        total += int(_git(mirror, "cat-file", "-s", blob))
        if total > MOST_BYTES:
            raise NotCarried(f"The changed files are larger than {MOST_BYTES // 10**6} MB.")
        additions.append((path, _git(mirror, "cat-file", "blob", blob)))
    return CommitContent(parents, tree, message.strip("\n"), tuple(additions), tuple(deletions))


def _git(mirror: Mirror, *arguments: str) -> bytes:
    return run_git(mirror.git_dir, *arguments, timeout_s=mirror.limits.command_s)
