"""The web server that every part of the program uses, with the settings' address and its limits.

Whoever can reach the port can hold connections open, so each has a deadline for its headers and one
for its body, and of too many connections those go first that have waited longest for either.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from app.settings.schema import Settings

HEADERS_S = 10.0
"""Seconds for a request's headers, from the connection's beginning or the last answer."""
BODY_S = 30.0
"""Seconds for a request's body. GitHub itself gives up after 10."""
STALLED_S = 30.0
"""Seconds after which a connection is cut off whose peer reads nothing of an answer."""
MOST_CONNECTIONS = 384
"""Connections at once. With their buffers, 320 KiB each at most, this fits 512 MiB of memory, and
with the database's files 1024 open files."""
MOST_HEADERS = 32_768
"""Bytes of a request's headers."""
BACKLOG = 128
"""Connections that are accepted in one go, before any limit can be applied to them."""


def web_server(app: ASGIApp, settings: Settings, *, stop_s: int, port: int = 0) -> uvicorn.Server:
    """A server that is to be run; it ends at most `stop_s` seconds after it was told to.

    It logs nothing by itself and believes no proxy's headers: who asks decides nothing.
    """
    waiting: dict[BoundedProtocol, None] = {}
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=port or settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=stop_s,
            http=cast(type[asyncio.Protocol], partial(BoundedProtocol, waiting)),
            # There are none of our own, and their protocol would have none of these limits.
            ws="none",
            backlog=BACKLOG,
        )
    )


class RequestsWithLength(h11.Connection):
    """Takes no body in chunks: GitHub and browsers send none, and a body of a million chunks of one
    byte each would keep the processor busy for everybody.
    """

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's. Raises `RemoteProtocolError` for a request with `Transfer-Encoding`."""
        event = super().next_event()
        if isinstance(event, h11.Request) and any(
            name == b"transfer-encoding" for name, _ in event.headers
        ):
            raise h11.RemoteProtocolError("A body needs a Content-Length.", 411)
        return event


class BoundedProtocol(H11Protocol):
    """One connection, with deadlines, among all that wait for their peer (`waiting`)."""

    def __init__(
        self,
        waiting: dict[BoundedProtocol, None],
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = RequestsWithLength(h11.SERVER, MOST_HEADERS)
        self._waiting = waiting
        self._awaited: tuple[str, object] = ("", None)
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, at the cost of the one that has waited longest if need be."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            longest = next(iter(self._waiting), self)
            longest.cut_off()
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Read, and note whether headers or body are complete now."""
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        """Wait for the next request's headers."""
        super().on_response_complete()
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()

    def pause_writing(self) -> None:
        """The peer does not read: not for long."""
        super().pause_writing()
        self._unread = True
        self._set_deadline()

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        self._unread = False
        self._set_deadline()

    def send_400_response(self, msg: str) -> None:
        """Say what we take, beside that the request was not it; and close."""
        super().send_400_response(f"{msg} A body needs a Content-Length, and comes in one piece.")

    def cut_off(self) -> None:
        """End the connection at once; what is not written yet is lost."""
        self._waiting.pop(self, None)
        self.transport.abort()

    def _set_deadline(self) -> None:
        """The time by which the peer has to do what is awaited of it, set when that changes.

        A byte now and then changes nothing of it.
        """
        cycle = self.cycle
        if self._unread or self.transport.is_closing():
            # Closed by us is closed only when the peer has read what was written before.
            awaited, seconds = ("reading", cycle), STALLED_S
        elif cycle is None or cycle.response_complete:
            awaited, seconds = ("headers", cycle), HEADERS_S
        elif cycle.more_body:
            awaited, seconds = ("body", cycle), BODY_S
        else:
            awaited, seconds = ("", cycle), 0.0
        if awaited == self._awaited:
            return
        self._awaited = awaited
        if self._deadline is not None:
            self._deadline.cancel()
        self._waiting.pop(self, None)
        if seconds:
            self._waiting[self] = None
            self._deadline = self.loop.call_later(seconds, self.cut_off)
