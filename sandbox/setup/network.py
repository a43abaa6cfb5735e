"""The way out of a set-up: relay container, tunnel, and the proxy in this process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sandbox.docker.engine import DockerEngine
from sandbox.egress import tunnel
from sandbox.egress.proxy import EgressProxy
from sandbox.errors import SandboxError
from sandbox.setup.container import PROXY_PORT, SetupSpec, relay_options
from sandbox.shell.bash import Stream

_SOURCE = Path(tunnel.__file__)
_START_S = 30.0
# The program comes as input: a cluster's command is part of an address, which must not be long.
_LOAD = """
import os, sys
size, source = int(sys.argv[2]), b""
while len(source) < size:
    source += os.read(0, size - len(source)) or sys.exit("no program")
exec(compile(source, "tunnel", "exec"))
"""


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
        async with proxy_tunnel(partial(engine.exec_stream, relay), PROXY_PORT, proxy):
            yield relay


@asynccontextmanager
async def proxy_tunnel(
    start: Callable[[list[str]], Awaitable[Stream]], port: int, proxy: EgressProxy
) -> AsyncIterator[None]:
    """Meanwhile the proxy is at a port of the loopback of where `start` starts a program."""
    folder = Path(tempfile.mkdtemp(prefix="patchwright-proxy-"))
    try:
        async with proxy.serving(folder / "s"), _tunnel(start, port, folder / "s"):
            yield
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


@asynccontextmanager
async def _tunnel(
    start: Callable[[list[str]], Awaitable[Stream]], port: int, socket: Path
) -> AsyncIterator[None]:
    source = _SOURCE.read_bytes()
    stream = await start(["python3", "-u", "-c", _LOAD, str(port), str(len(source))])

    async def connect() -> tunnel.Streams:
        return await asyncio.open_unix_connection(socket)

    end = tunnel.Tunnel(stream.write, connect)
    try:
        stream.write_now(source)
        await _ready(stream, end)
        yield
    finally:
        await end.close()
        stream.abort()


async def _ready(stream: Stream, end: tunnel.Tunnel) -> None:
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
