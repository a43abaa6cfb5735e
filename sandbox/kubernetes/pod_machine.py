"""One running pod, seen through the cluster's API: starting shells, death, removal."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.exec_socket import ExecSocket
from sandbox.kubernetes.pod import CONTAINER, in_pod
from sandbox.shell.bash import Shell, ShellDied

_POLLS = 40
_POLL_S = 0.025
_START_S = 10.0


class PodMachine:
    """A sandbox's machine that is a pod."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._streams: WeakValueDictionary[str, ExecSocket] = WeakValueDictionary()

    @property
    def id(self) -> str:
        """The pod's name."""
        return self._name

    async def start_shell(self, command: Sequence[str], prelude: str = "") -> Shell:
        """Start a persistent bash in the commands' environment."""
        exec_id = secrets.token_hex(8)
        try:
            stream = await self._exec(command)
            self._streams[exec_id] = stream
            return await Shell.start(stream, exec_id, prelude)
        except (SandboxError, ShellDied) as error:
            # Of a pod that has just died an API server may know no more than 500: its state does.
            await self._check_alive_for_a_while()
            if isinstance(error, EngineUnavailable):
                raise SandboxGone(str(error)) from None
            if isinstance(error, SandboxError):
                raise
            raise SandboxError(f"The sandbox could not start a shell: {error}") from error

    async def start_process(self, command: Sequence[str]) -> None:
        """Start a program and let it go."""
        stream = await self._exec(command)
        try:
            await asyncio.wait_for(stream.wait(), _START_S)
        except TimeoutError:
            return
        finally:
            stream.abort()

    async def check_alive(self) -> None:
        """Raise `SandboxGone` unless it runs."""
        try:
            found = await self._api.ask(
                lambda c: c.core.read_namespaced_pod(self._name, self._namespace)
            )
        except EngineUnavailable as error:
            raise SandboxGone(str(error)) from None
        if why := death(found):
            raise SandboxGone(f"The sandbox's pod died ({why})")

    async def exit_code(self, exec_id: str) -> int | None:
        """The status of a shell whose process has ended; None if nobody can say."""
        stream = self._streams.get(exec_id)
        for _ in range(_POLLS):
            if stream is None or stream.exit_code is not None or stream.ended:
                break
            await asyncio.sleep(_POLL_S)
        return stream.exit_code if stream else None

    async def remove(self) -> None:
        """Kill and delete it; nothing happens when it is gone already."""
        try:
            await self._api.ask(
                lambda c: c.core.delete_namespaced_pod(
                    self._name, self._namespace, grace_period_seconds=1
                )
            )
        except SandboxGone:
            return

    async def _exec(self, command: Sequence[str]) -> ExecSocket:
        return await ExecSocket.open(
            self._api, self._namespace, self._name, CONTAINER, in_pod(command)
        )

    async def _check_alive_for_a_while(self) -> None:
        # A pod's processes end a little before the cluster says that it died.
        for _ in range(_POLLS):
            await self.check_alive()
            await asyncio.sleep(_POLL_S)


def death(found: dict[str, Any]) -> str:
    """Why a pod runs no more, from the cluster's description; empty while it runs."""
    status = found.get("status", {})
    for container in status.get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated")
        if container.get("name") == CONTAINER and ended:
            reason = str(ended.get("reason") or "")
            if reason == "OOMKilled":
                return "out of memory"
            return f"exit {ended.get('exitCode')}"
    if status.get("phase") in ("Failed", "Succeeded", "Unknown"):
        return str(status.get("reason") or status.get("message") or status["phase"])
    return ""
