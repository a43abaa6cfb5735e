"""The way out of a set-up: relay container, tunnel, and the proxy in this process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.docker.engine import DockerEngine
from sandbox.docker.exec_stream import ExecStream
from sandbox.egress import tunnel
from sandbox.egress.proxy import EgressProxy
from sandbox.errors import SandboxError
from sandbox.setup.container import PROXY_PORT, SetupSpec, relay_options

_SOURCE = Path(tunnel.__file__)
_START_S = 30.0


@asynccontextmanager
async def proxy_relay(
    engine: DockerEngine, spec: SetupSpec, relay_image: str, proxy: EgressProxy | None
) -> AsyncIterator[str]:
    """The id of a container whose loopback has the proxy at `PROXY_PORT`; None: has nothing.

    The relay image needs python3. Works with an engine on another machine too: the tunnel is the
    engine's own stream.
    """
    async with engine.container(relay_options(spec, relay_image)) as relay:
        if proxy is None:
            yield relay
            return
        folder = Path(tempfile.mkdtemp(prefix="patchwright-proxy-"))
        try:
            async with proxy.serving(folder / "s"), _tunnel(engine, relay, folder / "s"):
                yield relay
        finally:
            await asyncio.to_thread(shutil.rmtree, folder)


@asynccontextmanager
async def _tunnel(engine: DockerEngine, relay: str, socket: Path) -> AsyncIterator[None]:
    command = ["python3", "-u", "-c", _SOURCE.read_text("utf-8"), str(PROXY_PORT)]
    stream = await engine.exec_stream(relay, command)

    async def connect() -> tunnel.Streams:
        return await asyncio.open_unix_connection(socket)

    end = tunnel.Tunnel(stream.write, connect)
    try:
        await _ready(stream, end)
        yield
    finally:
        await end.close()
        stream.abort()


async def _ready(stream: ExecStream, end: tunnel.Tunnel) -> None:
    """Wait for the relay to listen; from then on what it sends is the tunnel's."""
    ready = asyncio.get_running_loop().create_future()
    heard = bytearray()

    def listen(data: bytes) -> None:
        heard.extend(data)
        if len(heard) >= len(tunnel.READY) and not ready.done():
            ready.set_result(None)
            stream.on_data = end.feed
            if rest := bytes(heard[len(tunnel.READY) :]):
                end.feed(rest)

    def ended() -> None:
        if not ready.done():
            ready.set_exception(SandboxError("The relay of the set-up's proxy did not start"))

    stream.on_data, stream.on_end = listen, ended
    try:
        async with asyncio.timeout(_START_S):
            await ready
    except TimeoutError:
        raise SandboxError("The set-up proxy's relay does not respond") from None
