"""`Sandbox` on any machine that starts shells: two of them, and a shadow git."""

from __future__ import annotations

import asyncio
import posixpath
import re
from contextlib import suppress
from pathlib import Path

from sandbox.byte_text import to_bytes, to_text
from sandbox.errors import FileMissing, FileRefused, PatchRefused, SandboxError, SandboxGone
from sandbox.protocol import WORKDIR, CommandResult
from sandbox.shell.commands import CommandShell, OutputLimits
from sandbox.shell.machine import Machine
from sandbox.shell.service import ServiceResult, ServiceShell
from sandbox.shell.service_scripts import BROKEN, MISSING, NOT_REGULAR, UNREADABLE, UNWRITABLE

_TREE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_DIFF = 64 * 1024**2
_GIT_S = 300.0
_UNPACK_S = 900.0
_MOST_PATH = 4096


class ShellSandbox:
    """A sandbox over two shells of a machine; made by `DockerEngine` and `KubernetesEngine`."""

    def __init__(self, machine: Machine, output: OutputLimits) -> None:
        self._machine = machine
        self._service = ServiceShell(machine)
        self._commands = CommandShell(machine, self._service, output)
        self._base = ""
        self._closed = False

    @property
    def id(self) -> str:
        """The container's id."""
        return self._machine.id

    async def warm(self) -> None:
        """Start both shells ahead of the first call."""
        await self._service.open()
        await self._need_tools()
        await self._git("pw_ready")
        await self._commands.open()

    async def fill(self, tree: Path, history: Path | None = None) -> None:
        """Unpack tar files into the empty workspace and take the base snapshot.

        `history` holds a `.git` folder, which no snapshot and no diff takes in.
        """
        for archive in (tree, history) if history is not None else (tree,):
            unpacked = await self._service.call(
                "pw_quietly",
                "pw_unpack",
                (await asyncio.to_thread(archive.stat)).st_size,
                payload=archive,
                timeout_s=_UNPACK_S,
            )
            if unpacked.status != 0:
                raise SandboxError(
                    "The repository's tree cannot be unpacked on the sandbox's disk "
                    f"(is it larger than the limit?): {unpacked.text[:500]}"
                )
        added = await self._service.call("pw_quietly", "pw_prepared", timeout_s=_UNPACK_S)
        if added.status != 0:
            raise SandboxError(f"The results of set-up do not fit in the sandbox: {added.text}")
        self._base = _checked_tree_id(await self._git("pw_init", timeout_s=_UNPACK_S))
        await self._commands.open()

    async def take_over(self) -> None:
        """Go on in a container that another process opened: commands end, the tree stays."""
        await self._service.open()
        await self._service.call("pw_stop_all")
        self._base = _checked_tree_id(await self._git("pw_base"))

    async def run(self, command: str, *, timeout_s: float = 120.0) -> CommandResult:
        """Run a command in the one persistent shell (directory and variables carry over)."""
        self._check_open()
        return await self._commands.run(command, timeout_s)

    async def read(self, path: str, *, max_bytes: int = 4 * 1024**2) -> bytes:
        """Read a regular file."""
        self._check_open()
        most = max_bytes + 1
        answer = await self._service.call("pw_read", _absolute(path), most, limit=most)
        match answer.status:
            case 0 if len(answer.output) <= max_bytes and not answer.truncated:
                return answer.output
            case 0:
                raise FileRefused(f"{path} is larger than {max_bytes:,} bytes")
            case code if code == MISSING:
                raise FileMissing(f"There is no file {path}")
            case code if code == NOT_REGULAR:
                raise FileRefused(f"{path} is no regular file")
            case code if code == UNREADABLE:
                raise FileRefused(f"{path} cannot be read")
            case code:
                raise SandboxError(f"Reading {path} ended with status {code}")

    async def write(self, path: str, data: bytes) -> None:
        """Write a file, keeping its mode if it exists and making its folders if they do not."""
        self._check_open()
        name = _absolute(path)
        answer = await self._service.call(
            "pw_quietly", "pw_write", name, posixpath.dirname(name), len(data), payload=data
        )
        if answer.status == NOT_REGULAR:
            raise FileRefused(f"{path} is no regular file")
        if answer.status == UNWRITABLE:
            raise FileRefused(f"{path} cannot be written: {answer.text}")
        if answer.status != 0:
            raise SandboxError(f"Writing {path} ended with status {answer.status}: {answer.text}")

    async def snapshot(self) -> str:
        """Keep the tree as it is now; returns an id for `restore` and `diff`."""
        self._check_open()
        return _checked_tree_id(await self._git("pw_snapshot"))

    async def restore(self, snapshot: str | None) -> None:
        """Bring the tree back to a snapshot (None: as opened): changed, new and deleted files."""
        self._check_open()
        await self._git(
            "pw_restore", _checked_snapshot(self._base if snapshot is None else snapshot)
        )

    async def diff(self, since: str | None = None, *, binary: bool = False) -> str:
        """The change of the tree since a snapshot (None: since the sandbox was opened).

        Bytes that are not UTF-8 are as `sandbox.byte_text` writes them.
        """
        since = _checked_snapshot(since or self._base)
        options = ["--binary"] if binary else []
        now = await self.snapshot()
        return to_text((await self._git("pw_diff", since, now, *options, limit=_MOST_DIFF)).output)

    async def apply(self, patch: str) -> None:
        """Apply a git-style patch to the tree.

        An empty patch changes nothing.
        """
        self._check_open()
        if not patch.strip():
            return
        data = to_bytes(patch)
        answer = await self._service.call(
            "pw_quietly", "pw_apply", len(data), payload=data, timeout_s=_GIT_S
        )
        if answer.status != 0:
            raise PatchRefused(f"The patch does not apply: {answer.text}")

    async def close(self) -> None:
        """Destroy the sandbox."""
        if self._closed:
            return
        self._closed = True
        self._commands.drop()
        self._service.drop()
        # What was done in it stands, whatever the engine makes of it; a sweep finds it again.
        with suppress(SandboxError):
            await self._machine.remove()

    async def _need_tools(self) -> None:
        missing = (await self._service.call("pw_tools")).text
        if missing:
            raise SandboxError(
                f"The image lacks what a sandbox needs: {missing}. "
                "Install it in the image, or use Patchwright's base image."
            )

    async def _git(
        self,
        function: str,
        *words: str | int,
        payload: bytes | None = None,
        limit: int = 1024 * 1024,
        timeout_s: float = _GIT_S,
    ) -> ServiceResult:
        answer = await self._service.call(
            "pw_quietly", function, *words, payload=payload, limit=limit, timeout_s=timeout_s
        )
        if answer.status == BROKEN:
            await self.close()
            raise SandboxGone("A command destroyed the sandbox's snapshots; it was closed")
        if answer.status != 0:
            raise SandboxError(f"The sandbox's shadow git failed: {answer.text[-2000:]}")
        if answer.truncated:
            raise SandboxError(f"The change is larger than {limit:,} bytes")
        return answer

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxError("The sandbox is closed")


def _absolute(path: str) -> str:
    if "\0" in path or not path:
        raise FileRefused("A path must have a name and no NUL byte")
    name = posixpath.join(WORKDIR, path)
    if len(name.encode("utf-8", "surrogatepass")) >= _MOST_PATH:
        raise FileRefused("The path is longer than paths can be")
    return name


def _checked_snapshot(snapshot: str) -> str:
    if not _TREE_ID.fullmatch(snapshot):
        raise SandboxError(f"{snapshot[:80]!r} is not a snapshot")
    return snapshot


def _checked_tree_id(answer: ServiceResult) -> str:
    """Check a snapshot's id: it comes from the sandbox, so it may be anything."""
    if not _TREE_ID.fullmatch(answer.text):
        raise SandboxError(f"The sandbox returned no snapshot: {answer.text[:200]!r}")
    return answer.text
