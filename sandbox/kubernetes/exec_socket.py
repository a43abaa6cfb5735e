"""The two-way stream of one `exec` in a pod, over a WebSocket.

The first byte of each message is its channel: 0 standard input, 1 and 2 the outputs, 3 the status
at the end, as a JSON `Status`
(https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets).
Our programs speak on standard output alone; on standard error their wrapper says the shell's
status, for the status of channel 3 comes only when every process that holds the output has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from sandbox.kubernetes.api import Api, Clients

PROTOCOLS = "v5.channel.k8s.io, v4.channel.k8s.io"
"""What a server may speak: with v5 an input can be closed, which we never do."""

_STDIN, _STDOUT, _STDERR, _STATUS = range(4)
_PING_S = 30.0
_PIECE = 64 * 1024
_MOST_STATUS = 64


class ExecSocket:
    """Bytes in, bytes out; a `Stream`."""

    def __init__(self, opened: Any) -> None:
        self._socket = opened
        self._outbox: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._reading = asyncio.Event()
        self._reading.set()
        self._status_data = bytearray()
        self._exit_code: int | None = None
        self._over = asyncio.Event()
        self.ended = False
        self.on_data: Callable[[bytes], None] = lambda _: None
        self.on_end: Callable[[], None] = lambda: None
        self._receiving = asyncio.create_task(self._receive())
        self._sending = asyncio.create_task(self._send())

    @classmethod
    async def open(
        cls, api: Api, namespace: str, pod: str, container: str, command: list[str]
    ) -> ExecSocket:
        """Start a program in a pod's container and attach to it. Errors as `Api.call`."""

        async def connect(clients: Clients) -> Any:
            opening = await clients.streams.connect_get_namespaced_pod_exec_without_preload_content(
                pod,
                namespace,
                command=command,
                container=container,
                stdin=True,
                stdout=True,
                stderr=True,
                tty=False,
                _headers={"sec-websocket-protocol": PROTOCOLS},
            )
            return await opening

        return cls(await api.call(connect))

    @property
    def exit_code(self) -> int | None:
        """The program's status when it has ended, if it was told."""
        if self._status_data:
            text = self._status_data.decode("ascii", errors="replace").strip()
            return int(text) if text.isascii() and text.isdigit() else None
        return self._exit_code

    async def wait(self) -> None:
        """Until the program has ended, or the connection has."""
        await self._over.wait()

    async def write(self, data: bytes) -> None:
        """Send to standard input, waiting while no more is taken."""
        self.write_now(data)
        await self._sent.wait()

    def write_now(self, data: bytes) -> None:
        """Send to standard input without waiting: for short data."""
        if data and not self.ended:
            self._outbox.append(data)
            self._sent.clear()
            self._filled.set()

    def pause(self) -> None:
        """Read nothing until `resume`. The connection's own flow control holds back the rest."""
        self._reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    def abort(self) -> None:
        """Drop the connection; the program sees the end of its input."""
        if not self.ended:
            connection = self._socket.get_extra_info("socket")
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._end()

    async def _receive(self) -> None:
        from aiohttp import WSMsgType

        try:
            while not self.ended:
                await self._reading.wait()
                message = await self._socket.receive()
                # It may have been paused while this came.
                await self._reading.wait()
                if message.type is not WSMsgType.BINARY:
                    break  # Closed, in whatever way: the program ended, or the pod did.
                self._take(message.data)
        finally:
            self._end()
            await self._socket.close()

    async def _send(self) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(_PING_S):
                        await self._filled.wait()
                except TimeoutError:
                    # A balancer in between drops connections on which nothing passes. No answer
                    # is waited for: a server whose program takes no input does not read it.
                    await self._socket.ping()
                    continue
                while self._outbox:
                    data = memoryview(self._outbox.popleft())
                    for at in range(0, len(data), _PIECE):
                        await self._socket.send_bytes(bytes([_STDIN]) + data[at : at + _PIECE])
                self._filled.clear()
                self._sent.set()
        except OSError:
            self._end()

    def _take(self, message: bytes) -> None:
        channel, data = message[:1], message[1:]
        if self.ended:
            return
        if channel == bytes([_STDOUT]) and data:
            self.on_data(data)
        elif channel == bytes([_STDERR]):
            self._status_data += data[: _MOST_STATUS - len(self._status_data)]
        elif channel == bytes([_STATUS]):
            self._exit_code = status_code(data)

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._over.set()
            self._sending.cancel()
            self._reading.set()
            self._sent.set()
            self.on_end()


def status_code(data: bytes) -> int | None:
    """The exit status in a `Status`; None when it tells of something else."""
    try:
        status: Any = json.loads(data)
        if status["status"] == "Success":
            return 0
        causes = status["details"]["causes"]
        return next(int(c["message"]) for c in causes if c["reason"] == "ExitCode")
    except (ValueError, KeyError, TypeError, StopIteration):
        return None
