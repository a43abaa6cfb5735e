"""Settings about the size of repositories: what git and a tree may use of this machine."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from app.git.commit_history import HistoryLimits
from app.git.limits import GitLimits, TreeLimits

_MIB = 1024**2


class RepositorySettings(BaseSettings):
    """The part of `Settings` that bounds what a repository may use outside of sandboxes."""

    repository_mb: int = Field(
        16_384,
        ge=1,
        description="Largest repository, in MiB as git stores it; a fetch that would write more is "
        "ended. A mirror that has grown beyond it is fetched anew.",
    )
    repository_fetch_minutes: float = Field(
        60.0, gt=0, description="Longest fetch of a repository or of its large files, in minutes."
    )
    git_minutes: float = Field(
        10.0, gt=0, description="Longest time for any other git command, in minutes."
    )
    git_memory_mb: int = Field(
        4096, ge=64, description="Memory that one git process may allocate, in MiB."
    )
    tree_mb: int = Field(
        4096,
        ge=1,
        description="Largest tree of a commit, in MiB, with its submodules and large files (LFS). "
        "Also the most memory that a large tree adds to a sandbox's own.",
    )
    tree_files: int = Field(
        500_000, ge=1, description="Most files and folders of a tree, with its submodules."
    )

    history: bool = Field(
        True,
        description="Whether sandboxes of attempts hold the repository's history up to the base "
        "commit, for git log, blame and the like.",
    )
    history_commits: int = Field(
        2_000, ge=1, description="Most commits of that history, the newest."
    )
    history_mb: int = Field(
        200, ge=1, description="Largest such history, in MiB; a larger one is cut shorter."
    )

    @property
    def history_limits(self) -> HistoryLimits:
        """How much of a history a sandbox gets."""
        return HistoryLimits(self.history_commits, self.history_mb * _MIB)

    @property
    def git_limits(self) -> GitLimits:
        """What git may use for one repository."""
        return GitLimits(
            memory_bytes=self.git_memory_mb * _MIB,
            repository_bytes=self.repository_mb * _MIB,
            fetch_s=self.repository_fetch_minutes * 60,
            command_s=self.git_minutes * 60,
            tree=TreeLimits(self.tree_files, self.tree_mb * _MIB),
        )
