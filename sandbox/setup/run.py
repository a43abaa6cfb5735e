"""One set-up: its container, its commands, its image."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from docker.errors import APIError, ContainerError

from sandbox.docker.container import Container
from sandbox.docker.engine import DockerEngine
from sandbox.egress.proxy import EgressProxy
from sandbox.environment.records import Environment, Step
from sandbox.errors import SandboxError, SandboxGone
from sandbox.setup.container import CA_FILE, SetupSpec, as_list, setup_environment
from sandbox.setup.disk_use import (
    DiskLimits,
    DiskSpace,
    bytes_written,
    disk_space,
    excess,
    files_written,
    volume_bytes,
)
from sandbox.setup.records import Progress, SetupFailed, SetupPolicy
from sandbox.setup.scripts import BEGIN, FINISH, NEEDED
from sandbox.shell.bash import BATCH, Shell, ShellDied
from sandbox.spec import COMMAND_USER

_LOG_BYTES = 512 * 1024
_WATCH_S = 3.0
_OWN_STEP_S = 900.0
_EMPTY_TAR = bytes(10240)


class Setup:
    """One set-up in its container."""

    def __init__(
        self,
        engine: DockerEngine,
        container: Container,
        relay: str,
        volume: str,
        spec: SetupSpec,
        environment: Environment,
        policy: SetupPolicy,
        proxy: EgressProxy | None,
        variables: dict[str, str],
    ) -> None:
        self._engine = engine
        self._container = container
        self._relay = relay
        self._volume = volume
        self._spec = spec
        self._environment = environment
        self._policy = policy
        self._proxy = proxy
        self._variables = variables
        self._log = bytearray()
        self._excess = ""
        self.volume_bytes = 0
        """What the volume takes, when the set-up is done."""
        self._deadline = time.monotonic() + policy.timeout_s

    async def run(self, tree: Path | None, progress: Progress) -> None:
        """Unpack the tree, do the steps, and leave the container, paused, as it is to be kept."""
        async with self._limit_disk_use():
            await self._begin(tree)
            for step in self._environment.steps:
                progress(f"  {step.command.splitlines()[0][:120]}")
                await self._step(step)
            await self._root_script("keeping the result", FINISH)

    async def _begin(self, tree: Path | None) -> None:
        certificates = self._certificates()
        await self._root_script("trusting certificates", f"cat >{CA_FILE}", certificates)
        await self._root_script("installing what a sandbox needs", NEEDED)
        await self._root_script("unpacking the tree", BEGIN, tree or _EMPTY_TAR)

    def _certificates(self) -> bytes:
        """What the set-up trusts: the operator's file, and the proxy when it reads requests."""
        own = self._policy.ca_file.read_bytes() if self._policy.ca_file else b""
        pem = self._proxy.authority_pem.encode() if self._proxy else b""
        return own + b"\n" + pem if own or pem else b""

    async def _step(self, step: Step) -> None:
        left = self._deadline - time.monotonic()
        limit = f"not done within {self._policy.timeout_s:.0f} s"
        if left <= 0:
            raise self._failure(step.command, limit)
        line = f"cd {shlex.quote(step.folder)} && {{ {step.script}\n}}"
        user = "0:0" if step.root else COMMAND_USER
        self._log += f"$ {step.command}\n".encode()
        status = await self._shell(line, user, left)
        if status is None:
            raise self._failure(step.command, limit)
        if status != 0:
            raise self._failure(step.command, f"exit {status}")

    async def _root_script(self, what: str, script: str, payload: bytes | Path = b"") -> None:
        """A script of ours, as root, with an input of known size."""
        status = await self._shell(script, "0:0", _OWN_STEP_S, payload)
        if status != 0:
            raise self._failure(what, "no answer" if status is None else f"exit {status}")

    async def _shell(
        self, line: str, user: str, timeout_s: float, payload: bytes | Path = b""
    ) -> int | None:
        """The exit status of a command in a separate shell; None at the time limit."""
        trusts = bool(self._policy.ca_file or (self._proxy and self._proxy.authority_pem))
        path = self._variables["PATH"]
        given = setup_environment(network=self._proxy is not None, trusts=trusts, path=path)
        environment = as_list({**self._variables, **given})
        try:
            shell = await self._container.start_shell(BATCH, user=user, environment=environment)
            try:
                return await self._run_in(shell, line, timeout_s, payload)
            finally:
                shell.drop()
        except (ShellDied, SandboxGone) as error:
            if isinstance(error, ShellDied):
                self._log += error.partial.output
            raise self._failure(line, self._excess or "the container died") from None

    async def _run_in(
        self, shell: Shell, line: str, timeout_s: float, payload: bytes | Path
    ) -> int | None:
        if payload:
            size = len(payload) if isinstance(payload, bytes) else payload.stat().st_size
            await shell.begin_with(f"head -c {size} | {{ {line}\n}}".encode(), _LOG_BYTES, payload)
        else:
            shell.begin(f"({line}\n)".encode(), _LOG_BYTES)
        captured = await shell.wait(timeout_s)
        self._log += (captured or shell.partial()).output
        del self._log[_LOG_BYTES : -_LOG_BYTES or None]
        return captured.status if captured else None

    def _failure(self, command: str, why: str) -> SetupFailed:
        refused = list(self._proxy.refused) if self._proxy else []
        log = self._log.decode("utf-8", "replace")
        return SetupFailed(self._environment, command, why, log, refused)

    @asynccontextmanager
    async def _limit_disk_use(self) -> AsyncIterator[None]:
        """Meanwhile look how much is written, and end the container when it is too much."""
        start = await self._engine.call(lambda client: disk_space(client, self._relay))
        task = asyncio.create_task(self._watch(start))
        failed: SetupFailed | None = None
        try:
            yield
        except SetupFailed as error:
            failed = error
        finally:
            task.cancel()
            await asyncio.wait({task})
        if failed is None:
            # What it left running would write on after it was measured. Not every runtime can.
            with suppress(SandboxError):
                await self._container.pause()
        if not self._excess:  # A command may write too much, and fail, between two looks.
            await self._look(start, is_last=failed is None)
            if self._excess:
                raise self._failure("the whole set-up", self._excess) from failed
        if failed is not None:
            raise failed

    async def _watch(self, most: DiskSpace) -> None:
        while not self._excess:
            await asyncio.sleep(_WATCH_S)
            most = await self._look(most)
        await self._container.remove()

    async def _look(self, most: DiskSpace, *, is_last: bool = False) -> DiskSpace:
        """Notes what is too much; returns the most that the disk ever had left."""
        now = await self._engine.call(lambda client: disk_space(client, self._relay))
        most = most.most(now)
        # To add up a volume takes a container: until the end, only where it may matter.
        if is_last or most.size_bytes - now.size_bytes > self._policy.disk_bytes:
            self.volume_bytes = await self._engine.call(self._volume_bytes)
        self._excess = await self._engine.call(partial(self._check, most, now))
        return most

    def _volume_bytes(self, client: Any) -> int:
        try:
            return volume_bytes(client, self._spec, self._policy.relay_image, self._volume)
        except (APIError, ContainerError, ValueError):
            return self._policy.disk_bytes + 1  # not to be added up in a minute

    def _check(self, most: DiskSpace, now: DiskSpace, client: Any) -> str:
        limits = DiskLimits(self._policy.disk_bytes, self._policy.files)

        def count() -> int:
            image, files = self._policy.relay_image, limits.files
            try:
                return files_written(client, self._container.id, self._spec, image, files)
            except (APIError, ContainerError, ValueError):
                # Not to be counted (killed, or a runtime that shows no processes of others).
                return files + 1

        written = bytes_written(client, self._container.id) + self.volume_bytes
        return excess(limits, written, most, now, count)
