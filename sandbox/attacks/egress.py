"""Attacks on the proxy through which set-up reaches package registries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sandbox.attacks.target import Attack, Escaped, Target
from sandbox.egress.proxy import EgressProxy, Resolve
from sandbox.egress.rules import EgressRules, networks_of

_GOOD = "good.example"
_ANSWER_S = 20.0


async def private_addresses(target: Target) -> None:
    """CONNECT and plain requests to addresses inside, and to names that are not on the list."""
    async with _origin() as (port, seen):
        asked = (
            *(f"CONNECT {host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0")),  # noqa: S104
            *(f"GET http://{host}:{port}/" for host in ("127.0.0.1", "2130706433", "0x7f.1")),
            f"GET http://[::ffff:127.0.0.1]:{port}/",
            "CONNECT 169.254.169.254:80",
            "GET http://169.254.169.254/latest/meta-data/",
            "CONNECT 10.0.0.1:443",
            f"CONNECT {_GOOD}:{port}",
            f"CONNECT {_GOOD}:22",
            f"GET http://{_GOOD}@127.0.0.1:{port}/",
            f"GET http://127.0.0.1:{port}\\@{_GOOD}/",
        )
        async with _proxy(EgressRules(hosts=(_GOOD,)), _always("127.0.0.1"), target) as path:
            for line in asked:
                await _must_refuse(path, line)
            for inner in ("10.1.2.3", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1", "100.64.0.1"):
                async with _proxy(EgressRules(hosts=(_GOOD,)), _always(inner), target) as other:
                    await _must_refuse(other, f"CONNECT {_GOOD}:443")
        _must_be_unreached(seen)


async def dns_rebinding(target: Target) -> None:
    """A permitted name whose address changes to an inner one, or has one among others."""
    async with _origin() as (port, seen):
        answers = iter((["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1", "169.254.169.254"]))

        async def rebinding(host: str, at: int) -> list[str]:
            return next(answers)

        # 127.0.0.1 stands for a public server here: it alone is permitted.
        rules = EgressRules(hosts=(f"{_GOOD}:{port}",), networks=networks_of(["127.0.0.1/32"]))
        async with _proxy(rules, rebinding, target) as path:
            first = await _send_line(path, f"GET http://{_GOOD}:{port}/")
            if not first.startswith(b"HTTP/1.1 200 ") or len(seen) != 1:
                raise Escaped(f"the permitted server was not reached: {first[:80]!r}")
            for _ in range(2):
                await _must_refuse(path, f"GET http://{_GOOD}:{port}/")
        if len(seen) != 1:
            raise Escaped("the proxy connected after the address had changed")


async def redirects(target: Target) -> None:
    """A permitted host that redirects to the metadata address and to another server."""
    async with _origin() as (inner_port, inner_seen):
        where = f"http://127.0.0.1:{inner_port}/latest/meta-data"
        moved = f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
        async with _origin(moved) as (port, seen):
            rules = EgressRules(hosts=(f"{_GOOD}:{port}",), networks=networks_of(["127.0.0.1/32"]))
            async with _proxy(rules, _always("127.0.0.1"), target) as path:
                told = await _send_line(path, f"GET http://{_GOOD}:{port}/")
                if not told.startswith(b"HTTP/1.1 302 ") or len(seen) != 1:
                    raise Escaped(f"the redirect was not passed on: {told[:80]!r}")
                await _must_refuse(path, f"GET {where}")
                await _must_refuse(path, "GET http://169.254.169.254/latest/meta-data")
        _must_be_unreached(inner_seen)


async def smuggling(target: Target) -> None:
    """A second request hidden in the first, and something else than TLS in a tunnel."""
    async with _origin() as (port, seen):
        rules = EgressRules(hosts=(f"{_GOOD}:{port}",), networks=networks_of(["127.0.0.1/32"]))
        async with _proxy(rules, _always("127.0.0.1"), target) as path:
            hidden = "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"
            for head in (
                f"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
                f"Content-Length: 5\r\nContent-Length: 0\r\n\r\n{hidden}",
                f"X: a\r\n b\r\nContent-Length: 0\r\n\r\n{hidden}",
            ):
                await _send(
                    path, f"POST http://{_GOOD}:{port}/ HTTP/1.1\r\nHost: x\r\n{head}".encode()
                )
            if any(b"evil" in request for request in seen):
                raise Escaped("a hidden request reached the permitted server")
            before = len(seen)
            tunnel = f"CONNECT {_GOOD}:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            await _send(path, tunnel, b"GET /plain HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            if len(seen) != before:
                raise Escaped("a tunnel carried something else than TLS")


@asynccontextmanager
async def _origin(
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A small server on this machine; returns its port and the heads of what it was sent."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head := await reader.read(65536):
            seen.append(head)
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


@asynccontextmanager
async def _proxy(rules: EgressRules, resolve: Resolve, target: Target) -> AsyncIterator[Path]:
    path = target.host.parent / f"proxy-{id(resolve):x}.sock"
    async with EgressProxy(rules, resolve=resolve).serving(path):
        yield path
    path.unlink(missing_ok=True)


def _always(address: str) -> Resolve:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    return resolve


async def _send_line(path: Path, line: str) -> bytes:
    request = f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    return await _send(path, request.encode("latin-1"))


async def _send(path: Path, *pieces: bytes) -> bytes:
    """Send pieces, each after an answer to the one before; all that came back."""
    reader, writer = await asyncio.open_unix_connection(path)
    answers = b""
    try:
        async with asyncio.timeout(_ANSWER_S):
            for piece in pieces[:-1]:
                writer.write(piece)
                answers += await reader.read(65536)
            writer.write(pieces[-1])
            if writer.can_write_eof():
                writer.write_eof()
            answers += await reader.read()
    except ConnectionError:
        # The proxy hung up on us, which is an answer too.
        pass
    finally:
        writer.close()
    return answers


async def _must_refuse(path: Path, line: str) -> None:
    answer = await _send_line(path, line)
    if not answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ")):
        raise Escaped(f"{line} was answered {answer[:80]!r}")


def _must_be_unreached(seen: Sequence[bytes]) -> None:
    if seen:
        raise Escaped(f"an inner server was reached: {seen[0][:80]!r}")


ATTACKS = (
    Attack("proxy: CONNECT to a private address", private_addresses),
    Attack("proxy: DNS rebinding", dns_rebinding),
    Attack("proxy: permitted host redirects elsewhere", redirects),
    Attack("proxy: smuggled requests, tunnels without TLS", smuggling),
)
