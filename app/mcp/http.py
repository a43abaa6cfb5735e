"""A server at an address: Streamable HTTP by the official package, over a client that has bounds.

https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
from mcp.client.streamable_http import streamable_http_client

from app.mcp.config import Server
from app.mcp.limits import LONGEST_MESSAGE, Meter, ServerFailed

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

STREAM_READ_S = 300.0
"""How long a stream of events may be silent."""


class _Counted(httpx2.AsyncByteStream):
    """A body that ends with an error once too much of it came."""

    def __init__(self, body: httpx2.AsyncByteStream, meter: Meter) -> None:
        self._body = body
        self._meter = meter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for chunk in self._body:
            length += len(chunk)
            try:
                self._meter.take_bytes(len(chunk))
                self._meter.take_long(length)
            except ServerFailed as problem:
                raise httpx2.ReadError(str(problem)) from None
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class _Bounded(httpx2.AsyncBaseTransport):
    """Requests as they are; of answers, no more than the meter lets through."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        body = response.stream
        if response.headers.get("content-encoding", "identity") != "identity":
            # Packed bodies may be any size once unpacked, and none was asked for.
            await response.aclose()
            raise httpx2.ReadError("it sent a packed body, which was not asked for")
        assert isinstance(body, httpx2.AsyncByteStream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Counted(body, self._meter),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def address(server: Server, meter: Meter) -> AsyncIterator[TransportStreams]:
    """The streams of a session with a server at an address. Raises `SettingsError`."""
    trusted = ssl.create_default_context(cafile=str(server.ca_file)) if server.ca_file else True
    inner = httpx2.AsyncHTTPTransport(verify=trusted, trust_env=False)
    async with (
        httpx2.AsyncClient(
            transport=_Bounded(inner, meter),
            headers={**server.all_headers, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(server.start_s, read=STREAM_READ_S),
            trust_env=False,
        ) as client,
        streamable_http_client(
            server.url, http_client=client, max_sse_event_size=LONGEST_MESSAGE
        ) as streams,
    ):
        yield streams
