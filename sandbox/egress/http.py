"""One end of an HTTP/1.1 connection: h11's framing over asyncio streams."""

from __future__ import annotations

import asyncio

import h11

_PIECE = 64 * 1024
_IDLE_S = 120.0

Event = (
    h11.Request
    | h11.InformationalResponse
    | h11.Response
    | h11.Data
    | h11.EndOfMessage
    | h11.ConnectionClosed
)

_HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
    b"expect",
}
Headers = list[tuple[bytes, bytes]]


class HttpPeer:
    """Events in and out. Errors: `h11.ProtocolError`, `OSError`, `TimeoutError`."""

    def __init__(
        self,
        role: type[h11.CLIENT] | type[h11.SERVER],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.http = h11.Connection(role)
        self.reader = reader
        self.writer = writer

    async def receive(self) -> Event:
        """The next event; `ConnectionClosed` at the end."""
        while True:
            event = self.http.next_event()
            if isinstance(event, Event):
                return event
            if event is h11.PAUSED:
                return h11.ConnectionClosed()
            if self.http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(_IDLE_S):
                self.http.receive_data(await self.reader.read(_PIECE))

    async def send(self, event: Event) -> None:
        """Send an event."""
        data = self.http.send(event)
        if data:
            self.writer.write(data)
            async with asyncio.timeout(_IDLE_S):
                await self.writer.drain()

    async def answer(self, status: int, text: str) -> None:
        """A whole response of plain text, after which the connection is done."""
        body = (text + "\n").encode()
        headers = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Connection", b"close"),
        ]
        await self.send(h11.Response(status_code=status, headers=headers, reason=b"Proxy"))
        await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())


def forwarded_headers(headers: Headers) -> Headers:
    """The headers that a proxy passes on: all but those about this very connection."""
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for word in value.split(b",")
    }
    # Framing is no header to take away: the body's length hangs on it.
    own = (_HOP_BY_HOP | named) - {b"content-length", b"transfer-encoding"}
    return [(name, value) for name, value in headers if name.lower() not in own]
