"""What git and the trees that it writes may use of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from app.git.process import GitError


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """How much a commit's tree may hold, with its submodules and large files."""

    files: int = 500_000
    """Files and folders; Linux has 95,000."""
    size_bytes: int = 4 * 1024**3
    """Content of the files together."""

    def less(self, used: TreeCount) -> TreeLimits:
        """What is left after a part of the tree. Raises `GitError` when it takes more."""
        self.check(used)
        return TreeLimits(self.files - used.files, self.size_bytes - used.size_bytes)

    def check(self, used: TreeCount) -> None:
        """Raises `GitError` when a tree holds more; callers with a part of one say what is left."""
        if used.files > self.files:
            raise GitError(f"The tree has more than {self.files:,} files and folders.")
        if used.size_bytes > self.size_bytes:
            raise GitError(f"The tree's files are larger than {self.size_bytes >> 20:,} MiB.")


@dataclass(frozen=True, slots=True)
class TreeCount:
    """What a tree holds."""

    files: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class GitLimits:
    """What git may use for one repository."""

    memory_bytes: int = 4 * 1024**3
    """Bytes that one process may allocate; what it maps of its own files is not counted."""
    repository_bytes: int = 16 * 1024**3
    """The largest file that a fetch may write. A mirror that is larger is made anew."""
    fetch_s: float = 3600.0
    command_s: float = 600.0
    """For every command but a fetch."""
    tree: TreeLimits = TreeLimits()
