"""The only way out of a set-up: an HTTP proxy that lets through what `EgressRules` names.

Every request and every CONNECT is checked separately, so a redirect from a permitted host cannot
lead anywhere that is not permitted. Names are resolved here, all their addresses are checked, and
the connection goes to a checked address: a second answer from the name server changes nothing.
Within a CONNECT the TLS client must ask for the host that it named to the proxy; otherwise a
content delivery network would serve it any of its other customers. TLS to hosts with credentials
is terminated here (`sandbox.egress.certificates`), so that the credentials can be added outside
the sandbox; this process verifies the upstream certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import h11

from sandbox.egress.certificates import Authority
from sandbox.egress.http import Headers, HttpPeer, forwarded_headers
from sandbox.egress.rules import EgressRules, canonical
from sandbox.egress.tls_hello import RECORD_HEADER, record_size, server_name

_CONNECT_S = 20.0
_PIECE = 64 * 1024
_MOST_NOTES = 50

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Refused(Exception):
    """The proxy does not do this; the message says why."""


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    tls: bool
    path: str = ""


class EgressProxy:
    """The HTTP proxy of one set-up; it remembers what it refused."""

    def __init__(
        self, rules: EgressRules, *, ca_file: str = "", resolve: Resolve | None = None
    ) -> None:
        """`ca_file`: certificates to trust instead of the machine's."""
        self._rules = rules
        self._resolve = resolve or resolve_all
        self._tls = ssl.create_default_context(cafile=ca_file or None)
        self._authority = Authority() if rules.authorization else None
        self.refused: dict[str, int] = {}
        """Why something was refused, and how often."""

    @property
    def authority_pem(self) -> str:
        """What clients must trust besides the usual authorities; empty: nothing."""
        return self._authority.pem if self._authority else ""

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Serve on a Unix socket that only this user may open (by its folder's mode)."""
        open_now: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # a server's callback is one
            open_now[task] = writer
            try:
                await self.handle(reader, writer)
            finally:
                del open_now[task]

        server = await asyncio.start_unix_server(handle, path)
        try:
            yield
        finally:
            server.close()
            for task, writer in list(open_now.items()):
                writer.transport.abort()
                task.cancel()
            if open_now:
                await asyncio.wait(set(open_now))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client's connection to its end."""
        client = HttpPeer(h11.SERVER, reader, writer)
        # A connection that breaks is its client's affair, whose program says so.
        with contextlib.suppress(OSError, TimeoutError, h11.ProtocolError, EOFError):
            await self._serve(client, None)
        writer.close()

    async def _serve(self, client: HttpPeer, within: _Target | None) -> None:
        """Requests one after another; `within` is the host of a connection taken apart."""
        while isinstance(request := await client.receive(), h11.Request):
            try:
                if request.method == b"CONNECT" and within is None:
                    return await self._connect(client, request)
                await self._forward(client, request, _target(request, within))
            except Refused as reason:
                self._record_refusal(str(reason))
                return await client.answer(403, f"Refused: {reason}.")
            except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
                if client.http.our_state is not h11.SEND_RESPONSE:
                    raise
                return await client.answer(502, f"The server cannot be reached: {error}")
            if client.http.our_state is not h11.DONE or client.http.their_state is not h11.DONE:
                return None
            client.http.start_next_cycle()
        return None

    async def _forward(self, client: HttpPeer, request: h11.Request, target: _Target) -> None:
        sent = list(request.headers)
        if target.tls and (
            reason := self._rules.refused_request(target.host, target.port, request.method, sent)
        ):
            raise Refused(reason)
        reader, writer = await self._dial(target)
        try:
            server = HttpPeer(h11.CLIENT, reader, writer)
            await server.send(
                h11.Request(
                    method=request.method,
                    target=target.path,
                    headers=self._headers(request, target),
                )
            )
            while not isinstance(event := await client.receive(), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    return
                await server.send(h11.Data(data=bytes(event.data)))
            await server.send(h11.EndOfMessage())
            while True:
                answer = await server.receive()
                match answer:
                    case h11.Response():
                        headers = forwarded_headers(list(answer.headers))
                        await client.send(
                            h11.Response(
                                status_code=answer.status_code,
                                headers=headers,
                                reason=answer.reason,
                            )
                        )
                    case h11.Data():
                        await client.send(h11.Data(data=bytes(answer.data)))
                    case h11.EndOfMessage():
                        await client.send(h11.EndOfMessage())
                        return
                    case h11.ConnectionClosed():
                        return
        finally:
            writer.close()

    def _headers(self, request: h11.Request, target: _Target) -> Headers:
        secret = self._rules.credentials_for(target.host) if target.tls else ""
        left_out = {b"host", b"authorization"} if secret else {b"host"}
        kept = [h for h in forwarded_headers(list(request.headers)) if h[0].lower() not in left_out]
        usual = 443 if target.tls else 80
        authority = target.host if target.port == usual else f"{target.host}:{target.port}"
        added = [(b"Host", authority.encode()), (b"Connection", b"close")]
        if secret:
            added.append((b"Authorization", secret.encode()))
        return added + kept

    async def _connect(self, client: HttpPeer, request: h11.Request) -> None:
        target = _authority(request.target.decode("ascii", "replace"))
        self._check(target)
        if self._authority is not None and self._rules.credentials_for(target.host):
            await self._send_established(client)
            await client.writer.start_tls(self._authority.server_context(target.host))
            inner = HttpPeer(h11.SERVER, client.reader, client.writer)
            return await self._serve(inner, _Target(target.host, target.port, tls=True))
        reader, writer = await self._dial(target)
        try:
            await self._send_established(client)
            hello = await self._hello(client, target)
            writer.write(hello)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(client.reader, writer))
                group.create_task(_copy(reader, client.writer))
        except* (OSError, EOFError):
            client.writer.transport.abort()
        finally:
            writer.close()
        return None

    async def _send_established(self, client: HttpPeer) -> None:
        if client.http.trailing_data[0]:
            raise Refused("a client must wait for the answer to CONNECT")
        client.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await client.writer.drain()

    async def _hello(self, client: HttpPeer, target: _Target) -> bytes:
        """The client's first TLS record, if it asks for the host that it named to us."""
        async with asyncio.timeout(_CONNECT_S):
            header = await client.reader.readexactly(RECORD_HEADER)
            payload = await client.reader.readexactly(record_size(header))
        named_host = canonical(server_name(payload))
        if named_host != target.host:
            what = f"TLS for {named_host!r}" if named_host else "something else than TLS"
            self._record_refusal(f"{what} within a connection to {target.host}")
            raise ConnectionAbortedError
        return header + payload

    async def _dial(self, target: _Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to an address of the host, all of which were checked."""
        self._check(target)
        addresses = await self._resolve(target.host, target.port)
        for address in addresses:
            if reason := self._rules.refused_address(address):
                raise Refused(f"{target.host} resolves to {address}: {reason}")
        error: OSError = OSError(f"{target.host} has no address")
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    reader, writer = await asyncio.open_connection(
                        address,
                        target.port,
                        ssl=self._tls if target.tls else None,
                        server_hostname=target.host if target.tls else None,
                    )
            except (OSError, TimeoutError) as problem:
                error = OSError(f"{target.host} ({address}): {problem or 'no answer'}")
                continue
            self._check_not_self(target.host, writer)
            return reader, writer
        raise error

    def _check(self, target: _Target) -> None:
        if reason := self._rules.refusal(target.host, target.port):
            raise Refused(reason)

    def _check_not_self(self, host: str, writer: asyncio.StreamWriter) -> None:
        """This machine's own public address is no way to its services."""
        own, peer = writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0]
        if own == peer and not self._rules.names_address(peer):
            writer.transport.abort()
            raise Refused(f"{host} resolves to {peer}, which is this machine")

    def _record_refusal(self, reason: str) -> None:
        if reason in self.refused or len(self.refused) < _MOST_NOTES:
            self.refused[reason] = self.refused.get(reason, 0) + 1


async def resolve_all(host: str, port: int) -> list[str]:
    """All addresses of a name, the resolver's first choice first. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _target(request: h11.Request, within: _Target | None) -> _Target:
    text = request.target.decode("ascii", "replace")
    if within is not None:
        if not text.startswith("/"):
            raise Refused("a request within a connection must name a path")
        return _Target(within.host, within.port, within.tls, text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        raise Refused("the request's URL is malformed") from None
    if parts.scheme != "http" or not host or parts.username is not None:
        raise Refused("a request to the proxy must be for http://HOST/…, or CONNECT")
    path = text[text.index("://") + 3 :].removeprefix(parts.netloc).partition("#")[0]
    return _Target(canonical(host), port, False, path if path.startswith("/") else "/" + path)


def _authority(text: str) -> _Target:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or len(port) > 5:
        raise Refused("CONNECT needs HOST:PORT")
    return _Target(canonical(host), int(port), False)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
