"""The sandbox seam: what the agent may ask of the place where hostile code runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

WORKDIR = "/workspace"
"""Where the repository's tree stands inside every sandbox."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use."""

    cpus: float = 2.0
    memory_bytes: int = 2 * 1024**3
    pids: int = 512
    disk_bytes: int = 4 * 1024**3
    tree_bytes: int = 4 * 1024**3
    """Most that a large tree adds to `memory_bytes`, for itself and its snapshots."""
    output_bytes: int = 8 * 1024**2
    """Most bytes kept of one command's output; more is dropped from the middle."""
    flood_bytes: int = 1024**3
    """A command that prints more than this is killed, with a note and status 137."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What one shell command did."""

    exit_code: int | None
    """The command's exit status; None when it was killed at its time limit."""
    output: bytes
    """Standard output and error as they came, at most `Limits.output_bytes`."""
    duration_s: float
    timed_out: bool = False
    dropped_bytes: int = 0
    """Bytes left out of the middle of `output`."""

    @property
    def text(self) -> str:
        """The output as text; bytes that are not UTF-8 become U+FFFD."""
        return self.output.decode("utf-8", errors="replace")

    @property
    def ok(self) -> bool:
        """Whether the command ended by itself with status 0."""
        return self.exit_code == 0


class Sandbox(Protocol):
    """One isolated machine with the repository's tree at `WORKDIR`.

    Paths are relative to `WORKDIR` or absolute inside the sandbox. Every method may raise
    `SandboxGone` when the container died and must be reopened.
    """

    @property
    def id(self) -> str:
        """A name for logs, e.g. the container's id; enough to attach to it again."""
        ...

    async def run(self, command: str, *, timeout_s: float = 120.0) -> CommandResult:
        """Run a command in the one persistent shell (directory and variables carry over).

        At the time limit the command and all its children are killed; the shell lives on.
        Cancelling the awaiting task kills the command too.
        """
        ...

    async def read(self, path: str, *, max_bytes: int = 4 * 1024**2) -> bytes:
        """Read a regular file.

        Raises `FileMissing` when it is not there, `FileRefused` when it is no regular file or
        larger than `max_bytes`.
        """
        ...

    async def write(self, path: str, data: bytes) -> None:
        """Write a file, keeping its mode if it exists and making its folders if they do not.

        Raises `FileRefused` when the path cannot be written.
        """
        ...

    async def snapshot(self) -> str:
        """Keep the tree as it is now; returns an id for `restore` and `diff`.

        Files that the repository ignores are neither kept nor touched.
        """
        ...

    async def restore(self, snapshot: str | None) -> None:
        """Bring the tree back to a snapshot (None: as it was opened): changed, new, deleted files.

        Raises `SandboxError` when this sandbox does not know the snapshot.
        """
        ...

    async def diff(self, since: str | None = None, *, binary: bool = False) -> str:
        """The change of the tree since a snapshot (None: since the sandbox was opened).

        A git-style unified diff with renames as delete + add. Binary files are named
        ("Binary files … differ") unless `binary`, which gives what `apply` can take back.
        """
        ...

    async def apply(self, patch: str) -> None:
        """Apply a git-style patch to the tree. Raises `PatchRefused` and changes nothing."""
        ...

    async def close(self) -> None:
        """Destroy the sandbox. Safe to call twice. What the engine cannot remove now is left to a
        sweep, and is no error."""
        ...


OpenSandbox = Callable[[], Awaitable[Sandbox]]
"""Opens a fresh sandbox with the base commit's tree in it."""
