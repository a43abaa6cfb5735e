"""One running container, seen through the engine's API: starting shells, death, removal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from sandbox.docker.address import EngineAddress
from sandbox.docker.exec_stream import ExecStream
from sandbox.errors import SandboxError, SandboxGone
from sandbox.protocol import WORKDIR
from sandbox.shell.bash import Shell, ShellDied
from sandbox.spec import COMMAND_USER, command_environment

_POLLS = 40
_POLL_S = 0.025


class Container:
    """The engine's side of a sandbox."""

    def __init__(self, client: docker.DockerClient, address: EngineAddress, id: str) -> None:
        self.id = id
        self._client = client
        self._address = address

    async def start_shell(
        self,
        command: Sequence[str],
        prelude: str = "",
        *,
        user: str = COMMAND_USER,
        environment: Sequence[str] | None = None,
    ) -> Shell:
        """Start a persistent bash, as the commands' user and in their environment by default.

        Raises `SandboxGone` when the container is dead, `SandboxError` when it starts no process.
        """
        created: dict[str, str] = await self._call(
            lambda: self._client.api.exec_create(
                self.id,
                list(command),
                stdin=True,
                user=user,
                workdir=WORKDIR,
                environment=command_environment() if environment is None else list(environment),
            )
        )
        try:
            stream = await ExecStream.open(self._address, created["Id"])
            return await Shell.start(stream, created["Id"], prelude)
        except (SandboxError, ShellDied) as error:
            await self._check_alive_for_a_while()
            if isinstance(error, SandboxError):
                raise
            raise SandboxError(f"The sandbox could not start a shell: {error}") from error

    async def start_process(self, command: Sequence[str]) -> None:
        """Start a program as the commands' user and let it go."""
        created: dict[str, str] = await self._call(
            lambda: self._client.api.exec_create(self.id, list(command), user=COMMAND_USER)
        )
        await self._call(lambda: self._client.api.exec_start(created["Id"], detach=True))

    async def check_alive(self) -> None:
        """Raise `SandboxGone` unless the container runs."""
        state = (await self._call(lambda: self._client.api.inspect_container(self.id)))["State"]
        if not state["Running"]:
            why = "out of memory" if state.get("OOMKilled") else f"exit {state.get('ExitCode')}"
            raise SandboxGone(f"The sandbox's container died ({why})")

    async def _check_alive_for_a_while(self) -> None:
        # A container's processes end a little before the engine says that it died.
        for _ in range(_POLLS):
            await self.check_alive()
            await asyncio.sleep(_POLL_S)

    async def exit_code(self, exec_id: str) -> int | None:
        """The exit status of an exec whose process has ended; None if the engine does not say."""
        for _ in range(_POLLS):
            state = await self._call(lambda: self._client.api.exec_inspect(exec_id))
            if not state["Running"]:
                code = state["ExitCode"]
                return None if code is None else int(code)
            # The engine learns of the end a little after the stream closes.
            await asyncio.sleep(_POLL_S)
        return None

    async def pause(self) -> None:
        """Hold all of the container's processes where they are."""
        await self._call(lambda: self._client.api.pause(self.id))

    async def kill(self) -> None:
        """End all of the container's processes. Raises `SandboxError` where it had ended."""
        await self._call(lambda: self._client.api.kill(self.id))

    async def remove(self) -> None:
        """Kill and delete the container; nothing happens when it is gone already."""
        for last in (False, True):
            try:
                await self._call(
                    lambda: self._client.api.remove_container(self.id, v=True, force=True)
                )
            except SandboxGone:
                return
            except SandboxError:
                # After its restart an engine may have lost sight of a container that it killed.
                if last:
                    raise
            else:
                return

    async def _call(self, work: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(work)
        except NotFound as error:
            raise SandboxGone(f"The sandbox's container is gone: {error.explanation}") from None
        except APIError as error:
            if error.status_code == 409 and "not running" in str(error.explanation):
                raise SandboxGone("The sandbox's container is not running") from None
            if is_unavailable(error):
                raise SandboxGone(f"The engine is unavailable: {error.explanation}") from None
            raise SandboxError(f"The container engine refused: {error.explanation}") from None
        except (DockerException, requests.RequestException) as error:
            raise SandboxGone(f"The container engine does not respond: {error}") from None


def is_unavailable(error: APIError) -> bool:
    """Whether the engine answers, but not what it needs itself: containerd is being restarted.

    It passes on the name of gRPC's status UNAVAILABLE (https://grpc.io/docs/guides/status-codes/).
    """
    return str(error.explanation).rstrip('" ').endswith(": unavailable")
