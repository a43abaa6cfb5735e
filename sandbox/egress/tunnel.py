"""Many connections over one pair of pipes: how a container without a network reaches the proxy.

One end (`listen`, run as a program inside a relay container) accepts connections on the loopback
interface; the other end (this process) makes a connection to the proxy for each. Between them goes
one stream of frames: 1 byte kind, 4 bytes channel, 4 bytes length or count, then the payload. Each
channel may have `WINDOW` bytes under way in each direction until the receiver has passed them on,
so that a slow reader holds up its own channel alone. There are at most `CHANNELS` at once: each
costs this process three open files, and a set-up opens as many connections as it likes.

Only the standard library is imported here: the relay container gets this file as it is.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Awaitable, Callable

WINDOW = 256 * 1024
CHANNELS = 128
"""Connections at once; package managers use up to 100. Further ones wait in the relay."""
_PIECE = 64 * 1024
_HEADER = struct.Struct(">cII")
_OPEN, _DATA, _END, _TAKEN, _RESET = b"O", b"D", b"E", b"T", b"R"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
Send = Callable[[bytes], Awaitable[None]]


class _Channel:
    """One connection, seen from this end."""

    def __init__(self) -> None:
        self.credit = WINDOW
        self.room = asyncio.Event()
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        """Pieces from the other end; None ends them. The window bounds it."""
        self.task: asyncio.Task[None] | None = None


class Tunnel:
    """One end. `feed` takes what came; `send` is called with what is to go."""

    def __init__(self, send: Send, connect: Connect | None = None) -> None:
        """`connect` makes the connection for a channel that the other end opens."""
        self._send = send
        self._connect = connect
        self._channels: dict[int, _Channel] = {}
        self._slots = asyncio.Semaphore(CHANNELS)
        self._last = 0
        self._buffer = bytearray()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection to the other end until it closes, as soon as one may be opened."""
        async with self._slots:
            self._last += 1
            number, channel = self._last, _Channel()
            channel.task = asyncio.current_task()
            self._channels[number] = channel
            await self._send(_HEADER.pack(_OPEN, number, 0))
            await self._pump(number, channel, reader, writer)

    def feed(self, data: bytes) -> None:
        """Take bytes from the other end."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            kind, number, size = _HEADER.unpack_from(self._buffer, at)
            start = at + _HEADER.size
            end = start + (size if kind == _DATA else 0)
            if end > len(self._buffer):
                break
            self._frame(kind, number, size, bytes(self._buffer[start:end]))
            at = end
        del self._buffer[:at]

    async def close(self) -> None:
        """Break every connection."""
        tasks = [c.task for c in self._channels.values() if c.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _frame(self, kind: bytes, number: int, size: int, payload: bytes) -> None:
        if kind == _OPEN and self._connect is not None and len(self._channels) < 2 * CHANNELS:
            channel = self._channels[number] = _Channel()
            channel.task = asyncio.create_task(self._dial(number, channel, self._connect))
            return
        known = self._channels.get(number)
        if known is None:
            return
        if kind == _DATA:
            known.inbox.put_nowait(payload)
        elif kind == _END:
            known.inbox.put_nowait(None)
        elif kind == _TAKEN:
            known.credit += size
            known.room.set()
        elif kind == _RESET and known.task is not None:
            known.task.cancel()

    async def _dial(self, number: int, channel: _Channel, connect: Connect) -> None:
        try:
            reader, writer = await connect()
        except OSError:
            self._channels.pop(number, None)
            await self._send(_HEADER.pack(_RESET, number, 0))
            return
        await self._pump(number, channel, reader, writer)

    async def _pump(
        self,
        number: int,
        channel: _Channel,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outward(number, channel, reader))
                group.create_task(self._inward(number, channel, writer))
        except* OSError:
            await self._send(_HEADER.pack(_RESET, number, 0))
        finally:
            self._channels.pop(number, None)
            writer.close()

    async def _outward(self, number: int, channel: _Channel, reader: asyncio.StreamReader) -> None:
        while piece := await reader.read(_PIECE):
            while channel.credit < len(piece):
                channel.room.clear()
                await channel.room.wait()
            channel.credit -= len(piece)
            await self._send(_HEADER.pack(_DATA, number, len(piece)) + piece)
        await self._send(_HEADER.pack(_END, number, 0))

    async def _inward(self, number: int, channel: _Channel, writer: asyncio.StreamWriter) -> None:
        while (piece := await channel.inbox.get()) is not None:
            writer.write(piece)
            await writer.drain()
            await self._send(_HEADER.pack(_TAKEN, number, len(piece)))
        if writer.can_write_eof():
            writer.write_eof()


async def listen(port: int) -> None:
    """The relay's end: connections to `port` on loopback go out by standard output and input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, sys.stdout.buffer
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    tunnel = Tunnel(send)
    await asyncio.start_server(tunnel.carry, "127.0.0.1", port)
    await send(READY)
    while data := await reader.read(_PIECE):
        tunnel.feed(data)
    await tunnel.close()


READY = b"listening\n"
"""What the relay says first."""

if __name__ == "__main__":
    asyncio.run(listen(int(sys.argv[1])))
