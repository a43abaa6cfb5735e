"""How much of the engine's disk a set-up takes, in bytes and in files.

What a set-up writes is on the engine's disk, which few drivers can bound. So it is watched in two
ways: by what can be seen of its files, which says whose they are, and by what the disk has lost
since the set-up began, which also tells of files that have no name any more and are still open.
Others may have used the disk too, so that counts only when it is twice what is allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.setup.container import SetupSpec, counter_options, volume_counter_options

_SPACE = ("stat", "-f", "-c", "%a %S %d", "/")
"""Free blocks for users, their size in bytes, free files; a program of its own would take longer to
start than this takes."""
_OTHERS = 2


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """What is left of a disk."""

    size_bytes: int
    files: int
    """0 at all times on file systems that have no fixed number of files."""

    def most(self, other: DiskSpace) -> DiskSpace:
        """The larger of each: others may remove what they had."""
        return DiskSpace(max(self.size_bytes, other.size_bytes), max(self.files, other.files))


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """What a set-up may write."""

    size_bytes: int
    files: int


def excess(
    limits: DiskLimits,
    written_bytes: int,
    before: DiskSpace,
    now: DiskSpace,
    count_files: Callable[[], int],
) -> str:
    """Of what the set-up wrote too much, in words; empty: of nothing.

    `count_files` takes time and is called only when the disk lost more files than are allowed.
    """
    if max(written_bytes, (before.size_bytes - now.size_bytes) / _OTHERS) > limits.size_bytes:
        return f"more than {limits.size_bytes / 1e9:.1f} GB written"
    lost = before.files - now.files
    if lost > limits.files and (lost > _OTHERS * limits.files or count_files() > limits.files):
        return f"more than {limits.files:,} files written"
    return ""


def disk_space(client: Any, relay: str) -> DiskSpace:
    """What is left of the engine's disk, as a container that runs no code of others sees it."""
    started = client.api.exec_create(relay, list(_SPACE))
    blocks, size_bytes, files = map(int, client.api.exec_start(started["Id"]).split())
    return DiskSpace(blocks * size_bytes, files)


def bytes_written(client: Any, container: str) -> int:
    """The size of the files that a container added or changed."""
    found = client.api.containers(all=True, size=True, filters={"id": container})
    return int(found[0].get("SizeRw") or 0) if found else 0


def volume_bytes(client: Any, spec: SetupSpec, image: str, volume: str) -> int:
    """The size of the files in a volume, by a container that looks at them."""
    options = volume_counter_options(spec, image, volume)
    return int(client.containers.run(**options, remove=True))


def files_written(client: Any, container: str, spec: SetupSpec, image: str, most: int) -> int:
    """How many files a container added or changed, by another that looks at its file system.

    Above `most` it counts no further. The kernel sets a file's change time, and nothing in the
    container can set it back.
    """
    begun = client.api.inspect_container(container)["State"]["StartedAt"]
    options = counter_options(spec, image, container, begun, most + 1)
    return int(client.containers.run(**options, remove=True))
