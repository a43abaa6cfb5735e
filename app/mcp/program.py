"""A server that is a program: started beside the worker, spoken to over its pipes, and killed.

The official package's own transport hands on the worker's HOME, PATH and more, reads lines of any
length, and logs what is no message; this one does none of that.
https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from app.mcp.config import Server
from app.mcp.limits import Meter, ServerFailed

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams
    from mcp_types import JSONRPCMessage

STOP_S = 1.0
"""How long a program has to end by itself, and again after it was asked to."""
LAST_WORDS = 2000
"""Bytes of its standard error that are kept to explain its end."""
_CHUNK = 64 * 1024


class Program:
    """A started program and what is known of its end."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._last_words = b""
        self.listening = asyncio.create_task(self._keep_last_words())
        """Ends with its standard error."""

    @property
    def ended(self) -> str:
        """How it ended, with its last words; empty while it runs."""
        code = self._process.returncode
        if code is None:
            return ""
        how = f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        said = self._last_words.decode(errors="replace")
        if len(self._last_words) == LAST_WORDS:
            # The first line lacks its beginning: a half of a secret would not be known as one.
            said = said.partition("\n")[2]
        said = said.strip()
        return f"its program ended with {how}{f': {said}' if said else ''}"

    async def settle(self) -> None:
        """Wait, not long, until it is known how it ended: it has closed its output."""
        await self._has_ended()
        await asyncio.wait({self.listening}, timeout=STOP_S)

    async def _keep_last_words(self) -> None:
        stream = self._process.stderr
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            self._last_words = (self._last_words + chunk)[-LAST_WORDS:]

    async def stop(self) -> None:
        """End it and what it has started: its whole process group."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if await self._has_ended():
                break
            self._signal(ending)
        # What it started may be left, though it has ended itself.
        self._signal(signal.SIGKILL)
        await self._has_ended()
        # Who inherited the pipes, and left the group, would hold them open.
        self._process._transport.close()  # type: ignore[attr-defined]

    async def _has_ended(self) -> bool:
        # Not `wait`, which also waits for the ends of pipes that others may hold.
        deadline = asyncio.get_running_loop().time() + STOP_S
        while self._process.returncode is None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def _signal(self, which: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, which)


async def _start(server: Server) -> Process:
    command = list(server.command)
    if not os.access(command[0], os.X_OK):
        raise ServerFailed(f"{command[0]} cannot be started: there is no such program")
    if guard := shutil.which("setpriv"):
        # Should the worker be killed, the program dies with it.
        command = [guard, "--pdeathsig", "KILL", "--", *command]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=server.environment,
            cwd=server.folder or "/",
            start_new_session=True,
        )
    except OSError as problem:
        raise ServerFailed(f"{server.command[0]} cannot be started: {problem.strerror}") from None
    memory = server.memory_mb * 1024**2
    with suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (memory, memory))
    return process


@asynccontextmanager
async def program(
    server: Server, meter: Meter, started: list[Program]
) -> AsyncIterator[TransportStreams]:
    """The streams of a program that is started now and killed at the end.

    `started` gets it. Raises `ServerFailed` and `SettingsError`.
    """
    from mcp.shared.message import SessionMessage

    process = await _start(server)
    own = Program(process)
    started.append(own)
    incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    sent, outgoing = anyio.create_memory_object_stream[SessionMessage](0)

    async def read() -> None:
        # The session hears of the end by the closed stream.
        with suppress(ServerFailed, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with incoming:
                async for line in _lines(process, meter):
                    await incoming.send(SessionMessage(line))
                await own.settle()

    async def write() -> None:
        stdin = process.stdin
        assert stdin is not None
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with outgoing:
                async for message in outgoing:
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    stdin.write(text.encode() + b"\n")
                    await stdin.drain()

    tasks = [asyncio.create_task(read()), asyncio.create_task(write()), own.listening]
    try:
        yield received, sent
    finally:
        received.close()
        sent.close()
        await asyncio.shield(own.stop())
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _lines(process: Process, meter: Meter) -> AsyncIterator[JSONRPCMessage]:
    """Its messages. Raises `ServerFailed` when it sends too much."""
    from mcp_types import jsonrpc_message_adapter

    stdout = process.stdout
    assert stdout is not None
    parts: list[bytes] = []
    length = garbage = 0
    while chunk := await stdout.read(_CHUNK):
        meter.take_bytes(len(chunk))
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            parts.append(line)
            text = b"".join(parts)
            parts, length = [], 0
            if not text.strip():
                continue
            meter.take_message()
            try:
                message = jsonrpc_message_adapter.validate_json(text, by_name=False)
            except ValueError:
                garbage += len(text)
                meter.take_garbage(garbage)
            else:
                yield message
        parts.append(rest)
        length += len(rest)
        meter.take_long(length)
