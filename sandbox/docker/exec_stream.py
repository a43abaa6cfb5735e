"""The raw, two-way stream of one `exec` in a container, as an asyncio protocol.

The engine's API (v1.24 and later) upgrades `POST /exec/ID/start` to a raw connection: what is
written goes to the process' standard input; what is read comes in frames of an 8-byte header
(1 byte stream, 3 bytes zero, 4 bytes big-endian length) and the payload. The two output streams
come in no order to each other, so only standard output is passed on: shells send both there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import cast

from sandbox.docker.address import EngineAddress
from sandbox.errors import SandboxError

_HEADER = 8
_OPEN_S = 30.0
_STANDARD_OUTPUT = 1
_HIGH_WATER = 1024 * 1024


class ExecStream(asyncio.Protocol):
    """Bytes in, bytes out; `on_data` and `on_end` are called from the event loop."""

    def __init__(self, exec_id: str) -> None:
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        self._request = (
            f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: engine\r\n"
            "Content-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._payload_left = 0
        self._is_output = True
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True
        self.ended = False
        self.on_data: Callable[[bytes], None] = lambda _: None
        self.on_end: Callable[[], None] = lambda: None

    @classmethod
    async def open(cls, address: EngineAddress, exec_id: str) -> ExecStream:
        """Start a created exec and attach to it. Raises `SandboxError` when refused."""
        stream = await address.connect(lambda: cls(exec_id))
        try:
            async with asyncio.timeout(_OPEN_S):
                await stream._opened
        except TimeoutError:
            stream.abort()
            raise SandboxError(f"The engine started no command in {_OPEN_S:.0f} s") from None
        return stream

    async def write(self, data: bytes) -> None:
        """Send to standard input, waiting while the engine takes no more."""
        self.write_now(data)
        if not self._writable.is_set():
            await self._writable.wait()

    def write_now(self, data: bytes) -> None:
        """Send to standard input without waiting: for short data."""
        if self._transport is not None and not self.ended:
            self._transport.write(data)

    def pause(self) -> None:
        """Read nothing until `resume`: an idle process' chatter stays in the engine's buffers."""
        if self._reading and self._transport is not None and not self.ended:
            self._transport.pause_reading()
            self._reading = False

    def resume(self) -> None:
        """Read again."""
        if not self._reading and self._transport is not None and not self.ended:
            self._transport.resume_reading()
            self._reading = True

    def abort(self) -> None:
        """Drop the connection; the process sees the end of its input."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request that turns the connection into a raw one."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take frames apart."""
        if self._opened.done():
            self._frames(data)
        else:
            self._upgrade_response(data)

    def eof_received(self) -> bool:
        """The process ended, or closed its output: close our side too."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.ended = True
        self._writable.set()
        if not self._opened.done():
            text = self._buffer.decode(errors="replace").partition("\r\n\r\n")[2].strip()
            self._opened.set_exception(
                SandboxError(f"The engine refused a command: {text or exc or 'connection closed'}")
            )
        self.on_end()

    def pause_writing(self) -> None:
        """The engine takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The engine takes more again."""
        self._writable.set()

    def _upgrade_response(self, data: bytes) -> None:
        self._buffer += data
        head, blank, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not blank:
            return
        status = head.split(b" ", 2)[1]
        if status in {b"101", b"200"}:
            self._buffer.clear()
            self._opened.set_result(None)
            if rest:
                self._frames(rest)
        elif self._transport is not None and (rest or b"content-length: 0" in head.lower()):
            # The body says why; connection_lost reports it.
            self._transport.close()

    def _frames(self, data: bytes) -> None:
        if self._buffer:
            self._buffer += data
            data = bytes(self._buffer)
            self._buffer.clear()
        at, size = 0, len(data)
        while at < size:
            if self._payload_left == 0:
                if size - at < _HEADER:
                    self._buffer += data[at:]
                    return
                self._is_output = data[at] == _STANDARD_OUTPUT
                self._payload_left = int.from_bytes(data[at + 4 : at + 8], "big")
                at += _HEADER
                continue
            piece = data[at : at + self._payload_left]
            at += len(piece)
            self._payload_left -= len(piece)
            if self._is_output:
                self.on_data(piece)
