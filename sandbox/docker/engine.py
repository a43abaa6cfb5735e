"""The container engine: opening sandboxes, finding them again, and sweeping what is left over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from sandbox.docker.address import engine_address
from sandbox.docker.container import Container, is_unavailable
from sandbox.docker.exec_stream import ExecStream
from sandbox.docker.options import container_options
from sandbox.docker.plain_image import description, is_plain, load, variables
from sandbox.docker.prepared_volume import remove_volume, volume_of
from sandbox.docker.system_calls import takes_profile, with_own_profile
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError, SandboxGone
from sandbox.protocol import Limits
from sandbox.shell.commands import OutputLimits
from sandbox.shell.sandbox import ShellSandbox
from sandbox.sizing import tree_size
from sandbox.spec import FLOOD_LABEL, INSTALLATION_LABEL, OUTPUT_LABEL, RUN_LABEL, SandboxSpec

__all__ = ["DockerEngine", "SandboxSpec"]

T = TypeVar("T")
_VOLUME_WAITS_S = (0.5, 2.0, 5.0, 0.0)
_GIVEN = "patchwright-run-"
"""Begins the name of a container that came from a pool."""


class DockerEngine:
    """One Docker (or Podman) engine. Safe for use by many tasks of one event loop."""

    def __init__(self, docker_url: str = "") -> None:
        """`docker_url` empty: from DOCKER_HOST, else the local socket. Connects when first used."""
        self._address = engine_address(docker_url)
        self._client: docker.DockerClient | None = None
        self._connecting = asyncio.Lock()
        self._filters: bool | None = None
        """Whether it takes our own filter of system calls; None: not asked yet."""
        self._removals: set[asyncio.Task[None]] = set()

    async def check(self) -> str:
        """The engine's name and version. Raises `EngineUnavailable` when none answers."""
        version = await self._call(lambda client: client.version())
        return f"Docker engine {version['Version']} (API {version['ApiVersion']})"

    async def has_image(self, tag: str) -> bool:
        """Whether the engine holds an image."""
        try:
            await self._call(lambda client: client.images.get(tag))
        except ImageMissing:
            return False
        return True

    async def plain(self, image: str) -> str:
        """The image, or another of its layers and variables, without settings that have effects.

        Raises `ImageMissing`, or `SandboxError` when this engine cannot make the other one.
        """

        def find(client: docker.DockerClient) -> str:
            attributes = client.images.get(image).attrs
            config = attributes.get("Config") or {}
            if is_plain(config):
                return image
            return load(client, description(attributes, variables(config)))

        return await self._call(find)

    async def image_id(self, tag: str) -> str:
        """The id of an image by its content; empty where the engine does not hold it."""
        try:
            image = await self._call(lambda client: client.images.get(tag))
        except ImageMissing:
            return ""
        return str(image.id or "")

    async def open(
        self, spec: SandboxSpec, tree: Path, history: Path | None = None
    ) -> ShellSandbox:
        """Start a sandbox with the tree of a tar file in it, and perhaps the history of another.

        Raises `EngineUnavailable`, `ImageMissing`, or `SandboxError` when the tree does not fit.
        """
        spec = replace(spec, tree=await asyncio.to_thread(tree_size, tree, spec.limits, history))
        sandbox = await self.start(spec)
        await self.fill(sandbox, tree, history)
        return sandbox

    async def start(self, spec: SandboxSpec) -> ShellSandbox:
        """Start a sandbox whose tree is still to come; see `fill`. Errors as `open`."""
        volume = await self._call(lambda client: volume_of(client, spec.image))
        plain = replace(spec, image=await self.plain(spec.image))
        created = await self._create(container_options(plain, volume))
        sandbox = await self._sandbox(str(created.id), _output_limits(spec.limits))
        try:
            await self._call(lambda _: created.start())
            await sandbox.warm()
        except BaseException:
            await asyncio.shield(sandbox.close())
            raise
        return sandbox

    async def fill(self, sandbox: ShellSandbox, tree: Path, history: Path | None = None) -> None:
        """Put the tree in a started sandbox, which is destroyed when that fails."""
        try:
            await sandbox.fill(tree, history)
        except BaseException:
            await asyncio.shield(sandbox.close())
            raise

    async def assign_to_run(self, sandbox: ShellSandbox, run_id: str) -> None:
        """Make a sandbox of a pool a run's. Labels stay for ever, so its name says whose it is."""
        name = f"{_GIVEN}{run_id}-{secrets.token_hex(4)}"
        await self._call(lambda client: client.api.rename(sandbox.id, name))

    async def attach(
        self, sandbox_id: str, *, installation: str | None = None
    ) -> ShellSandbox | None:
        """A sandbox that another process opened, with a new shell; None when it does not run.

        Of another installation's it is None too, if one is named: that may work in it still.

        Tree and snapshots are as they were; what ran in it is killed.
        """
        try:
            found = await self._call(lambda client: client.containers.get(sandbox_id))
            if found.status != "running" or RUN_LABEL not in found.labels:
                return None
            if installation not in (None, found.labels.get(INSTALLATION_LABEL, "")):
                return None
            usual = _output_limits(Limits())
            limits = OutputLimits(
                kept=int(found.labels.get(OUTPUT_LABEL) or usual.kept),
                flood=int(found.labels.get(FLOOD_LABEL) or usual.flood),
            )
            sandbox = await self._sandbox(str(found.id), limits)
            await sandbox.take_over()
        except SandboxGone:
            return None
        return sandbox

    async def sweep(
        self, keep_runs: Collection[str], *, installation: str = "", only: str = ""
    ) -> list[str]:
        """Remove this installation's containers of all runs but `keep_runs`; returns their ids.

        With `only`, those of that run alone.
        """
        await self._removed()
        label = f"{INSTALLATION_LABEL}={installation}"
        found = await self._call(
            lambda client: client.containers.list(
                all=True, filters={"label": [RUN_LABEL, label]}, ignore_removed=True
            )
        )
        swept: list[str] = []
        stays: list[SandboxError] = []
        for container in found:
            labels = container.labels
            # An engine takes "label=" for any value of the label.
            is_own = labels.get(INSTALLATION_LABEL) == installation
            run = run_of(container.name or "", labels.get(RUN_LABEL, ""))
            if is_own and run not in keep_runs and only in ("", run):
                try:
                    await (await self.container_of(str(container.id))).remove()
                except SandboxError as error:  # the others go all the same
                    stays.append(error)
                else:
                    swept.append(str(container.id))
        if stays:
            raise stays[0]
        return swept

    @asynccontextmanager
    async def container(self, options: dict[str, Any]) -> AsyncIterator[str]:
        """A started container of other make than a sandbox; killed at the end. Returns its id.

        Its files are removed then, which may take long, but nobody waits for that except `close`.
        One that the engine cannot remove is left to a sweep.
        """
        created = await self._create(options)
        try:
            await self._call(lambda _: created.start())
            yield str(created.id)
        finally:
            with suppress(SandboxError):  # which would hide the error of the work inside
                container = await self.container_of(str(created.id))
                killing = asyncio.create_task(_kill_quietly(container))
                self._remove_later(_remove_after(killing, container))
                await asyncio.shield(killing)

    @asynccontextmanager
    async def volume(self, name: str, labels: Mapping[str, str], image: str) -> AsyncIterator[str]:
        """A new volume, which stays unless what is done with it fails. Returns its name.

        `image` is that of the container that empties it then.
        """
        await self._call(lambda client: client.volumes.create(name, labels=dict(labels)))
        try:
            yield name
        except BaseException:
            self._remove_later(self._remove_volume(name, image, set(self._removals)))
            raise

    async def _remove_volume(
        self, name: str, image: str, users: Collection[asyncio.Task[None]]
    ) -> None:
        if users:
            await asyncio.wait(users)
        # An engine that is still busy with the container says that it has the volume.
        for wait_s in _VOLUME_WAITS_S:
            try:
                if await self._call(lambda client: remove_volume(client, name, image)):
                    return
            except SandboxGone:
                return
            except SandboxError:  # where it stays, it is nobody's, and pruned later
                pass
            await asyncio.sleep(wait_s)

    def _remove_later(self, work: Coroutine[Any, Any, None]) -> None:
        removal = asyncio.create_task(work)
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    async def _create(self, options: dict[str, Any]) -> Any:
        """A container, with our own filter of system calls where the engine takes one."""

        def create(client: docker.DockerClient) -> Any:
            if self._filters is None:
                self._filters = takes_profile(client.info(), client.version())
            made = with_own_profile(options) if self._filters else options
            return client.containers.create(**made)

        return await self._call(create)

    async def container_of(self, container_id: str) -> Container:
        """A container of this engine, for starting shells in it."""
        return Container(await self.client(), self._address, container_id)

    async def exec_stream(self, container_id: str, command: list[str]) -> ExecStream:
        """Start a program in a container and attach to its input and output."""
        created = await self._call(
            lambda client: client.api.exec_create(container_id, command, stdin=True)
        )
        return await ExecStream.open(self._address, created["Id"])

    async def call(self, work: Callable[[docker.DockerClient], T]) -> T:
        """Do something else with the engine, with its errors turned into `SandboxError`s."""
        return await self._call(work)

    async def close(self) -> None:
        """Close the connections; sandboxes live on."""
        await self._removed()
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.close)

    async def _removed(self) -> None:
        """Return when what was killed is gone."""
        if self._removals:
            await asyncio.wait(set(self._removals))

    async def _sandbox(self, container_id: str, output: OutputLimits) -> ShellSandbox:
        container = Container(await self.client(), self._address, container_id)
        return ShellSandbox(container, output)

    def new_client(self) -> docker.APIClient:
        """A client with connections of its own, for the caller to close. Blocks."""
        tls = self._address.tls or False
        return docker.APIClient(base_url=self._address.url, tls=tls, version="auto")

    async def client(self) -> docker.DockerClient:
        """The connected client; its calls block. Raises `EngineUnavailable`."""
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._connect)
            return self._client

    def _connect(self) -> docker.DockerClient:
        try:
            return docker.DockerClient(base_url=self._address.url, tls=self._address.tls or False)
        except DockerException as error:
            if "Permission denied" in str(error):  # docker-py keeps only the message
                raise EngineUnavailable(
                    f"This user may not use the container engine at {self._address.url}. Run "
                    "`sudo usermod -aG docker $USER` and log in again; anyone who may use the "
                    "engine is root on this machine."
                ) from None
            raise EngineUnavailable(
                f"No container engine responds at {self._address.url}. Start Docker "
                f"(for example `sudo systemctl start docker`) or set DOCKER_HOST. ({error})"
            ) from None

    async def _call(self, work: Callable[[docker.DockerClient], T]) -> T:
        client = await self.client()
        try:
            return await asyncio.to_thread(work, client)
        except ImageNotFound as error:
            raise ImageMissing(
                f"The image is missing; build it with `patchwright images build`. "
                f"({error.explanation})"
            ) from None
        except NotFound as error:
            raise SandboxGone(f"The container is gone: {error.explanation}") from None
        except APIError as error:
            if is_unavailable(error):
                raise EngineUnavailable(
                    f"The container engine at {self._address.url} cannot work now: "
                    f"{error.explanation}"
                ) from None
            raise SandboxError(f"The container engine refused: {error.explanation}") from None
        except (DockerException, requests.RequestException) as error:
            raise EngineUnavailable(
                f"The container engine at {self._address.url} does not respond: {error}"
            ) from None


async def _kill_quietly(container: Container) -> None:
    with suppress(SandboxError):  # it may have ended by itself
        await container.kill()


async def _remove_after(killing: asyncio.Task[None], container: Container) -> None:
    await killing
    with suppress(SandboxError):
        await container.remove()


def _output_limits(limits: Limits) -> OutputLimits:
    return OutputLimits(kept=limits.output_bytes, flood=limits.flood_bytes)


def run_of(name: str, label: str) -> str:
    """Whose a container is, by its name or its label."""
    if not name.startswith(_GIVEN):
        return label
    return name.removeprefix(_GIVEN).rpartition("-")[0]
