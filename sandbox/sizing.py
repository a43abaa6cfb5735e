"""How much room a sandbox has, in its mounts and its memory, from its limits and its tree.

Only measuring a tree does I/O.

The mounts are kept in memory, which makes them fast, bounded and gone with the container. A usual
tree fits in the share that the limits give. A large one gets its own size on top, in the mounts
and in the memory, so that the limits say the same for every repository: what may be used besides.
How much that may be is a limit too.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.protocol import Limits

PAGE = 4096
_INODE = 1536
"""Memory of the kernel for one file, measured: its inode, its name, its attributes."""
_SMALL_MOUNT = 64 * 1024**2
_EXPANSION = 4
"""A file takes at least two blocks of 512 bytes in a tar and one page in memory."""


@dataclass(frozen=True, slots=True)
class TreeSize:
    """What a tree takes up in memory."""

    files: int = 0
    pages_bytes: int = 0
    """Its content, rounded up to pages."""

    @property
    def memory_bytes(self) -> int:
        """With what the kernel keeps for each file."""
        return self.pages_bytes + self.files * _INODE


@dataclass(frozen=True, slots=True)
class MountSizes:
    """Sizes in bytes."""

    workspace: int
    home: int
    temporary: int
    small: int
    """For /run and shared memory, each."""
    memory: int


def mount_sizes(limits: Limits, tree: TreeSize) -> MountSizes:
    """The room of a sandbox.

    The mounts' pages count as the container's memory, so together they may hold three quarters of
    it at most: a full disk is then "no space left", not a dead container.
    """
    disk = min(limits.disk_bytes, limits.memory_bytes * 3 // 4)
    small = min(_SMALL_MOUNT, disk // 16)
    disk -= 2 * small
    # The home folder has the snapshots: compressed, but each file by itself and one more for its
    # folder, which for many small files is as much as the files.
    snapshots = TreeSize(tree.files * 5 // 4, tree.pages_bytes + tree.files * PAGE // 4)
    more_tree = tree.memory_bytes if tree.memory_bytes > disk // 4 else 0
    more_home = snapshots.memory_bytes if snapshots.memory_bytes > disk // 8 else 0
    return MountSizes(
        workspace=disk // 2 + more_tree,
        home=disk // 4 + more_home,
        temporary=disk // 4,
        small=small,
        memory=limits.memory_bytes + more_tree + more_home,
    )


def tree_size(tar: Path, limits: Limits, history: Path | None = None) -> TreeSize:
    """Measure the tree in a tar file and its history; nothing for what surely fits. Blocks.

    Raises `SandboxError` when the tree needs more than the limits let it add.
    """
    more_bytes = history.stat().st_size if history is not None else 0
    least = tar.stat().st_size * _EXPANSION + more_bytes
    if least < mount_sizes(limits, TreeSize()).workspace // 4:
        return TreeSize()
    try:
        with tarfile.open(tar, "r:") as archive:
            sizes = [member.size for member in archive]
    except tarfile.TarError as error:
        raise SandboxError(f"The repository's tree cannot be read: {error}") from None
    pages = sum(-(-size // PAGE) * PAGE for size in sizes)
    found = TreeSize(len(sizes), pages + more_bytes)
    more = mount_sizes(limits, found).memory - limits.memory_bytes
    if more > limits.tree_bytes:
        raise SandboxError(
            f"The repository's tree needs {more >> 20:,} MiB of memory in a sandbox; at most "
            f"{limits.tree_bytes >> 20:,} MiB are allowed (the setting tree_mb)."
        )
    return found
