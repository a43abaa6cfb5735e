"""The egress proxy in front of real servers on this machine: what passes, what does not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.egress.certificates import Authority
from sandbox.egress.proxy import EgressProxy
from sandbox.egress.rules import EgressRules, networks_of

LOOPBACK = networks_of(["127.0.0.0/8"])
SECRET = "Bearer s3cret-value"


@dataclass
class Origin:
    """A small HTTP server that keeps what it was sent."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list)
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            body = b""
            if b"chunked" in head.lower():
                body = await reader.readuntil(b"0\r\n\r\n")
            self.seen.append(head + body)
            writer.write(self.answer)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def origin(context: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    made = Origin()
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def served(proxy: EgressProxy, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "p.sock"
    async with proxy.serving(path):
        yield path


async def ask(path: Path, request: bytes) -> bytes:
    """One request, and all that comes back until the proxy closes."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


def get(url: str, *headers: str) -> bytes:
    lines = [f"GET {url} HTTP/1.1", "Host: whatever", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def rules_for(server: Origin, **more: object) -> EgressRules:
    entries = (f"good.test:{server.port}",)
    return EgressRules(hosts=entries, networks=LOOPBACK, **more)  # type: ignore[arg-type]


async def test_a_plain_request_is_forwarded_without_the_proxys_own_headers(tmp_path: Path) -> None:
    async with origin() as server:
        proxy = EgressProxy(rules_for(server), resolve=loopback)
        async with served(proxy, tmp_path) as path:
            answer = await ask(
                path,
                get(
                    f"http://good.test:{server.port}/a?b=c",
                    "Proxy-Authorization: Basic eA==",
                    "X-Own: kept",
                ),
            )
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"hello")
    head = server.seen[0]
    assert head.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert f"Host: good.test:{server.port}\r\n".encode() in head
    assert b"x-own: kept" in head and b"Proxy-Auth" not in head and b"whatever" not in head


async def test_requests_on_one_connection_are_each_checked(tmp_path: Path) -> None:
    async with origin() as server:
        proxy = EgressProxy(rules_for(server), resolve=loopback)
        url = f"http://good.test:{server.port}/"
        first = get(url).replace(b"Connection: close\r\n", b"")
        async with served(proxy, tmp_path) as path:
            twice = await ask(path, first + get(url))
            mixed = await ask(path, first + get("http://evil.test/"))
    assert twice.count(b"HTTP/1.1 200 ") == 2
    assert mixed.count(b"HTTP/1.1 200 ") == 1 and b"HTTP/1.1 403 " in mixed
    assert len(server.seen) == 3
    assert proxy.refused == {"evil.test is not on the allow-list of set-up": 1}


async def test_a_redirect_leads_nowhere_that_is_not_permitted(tmp_path: Path) -> None:
    async with origin() as server, origin() as inner:
        where = f"http://127.0.0.1:{inner.port}/latest/meta-data".encode()
        server.answer = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % where
        proxy = EgressProxy(rules_for(server), resolve=loopback)
        async with served(proxy, tmp_path) as path:
            told = await ask(path, get(f"http://good.test:{server.port}/"))
            followed = await ask(path, get(where.decode()))
    assert told.startswith(b"HTTP/1.1 302 ") and where in told
    assert followed.startswith(b"HTTP/1.1 403 ") and inner.seen == []


@pytest.mark.parametrize(
    "request_line",
    [
        "CONNECT 127.0.0.1:443",
        "CONNECT 169.254.169.254:80",
        "CONNECT [::1]:443",
        "CONNECT good.test:22",
        "CONNECT good.test",
        "CONNECT evil.test:443",
        "GET http://user:pw@good.test/",
        "GET ftp://good.test/",
        "GET https://good.test/",
        "GET /",
        "GET http://[::1/",
    ],
)
async def test_what_is_not_permitted_is_refused_before_any_connection(
    tmp_path: Path, request_line: str
) -> None:
    async def never(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was resolved")

    proxy = EgressProxy(EgressRules(hosts=("good.test",)), resolve=never)
    async with served(proxy, tmp_path) as path:
        answer = await ask(path, f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert len(proxy.refused) == 1


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["93.184.215.14", "169.254.169.254"], ["::ffff:10.0.0.1"]]
)
async def test_a_permitted_name_that_resolves_to_an_internal_address_is_refused(
    tmp_path: Path, answers: list[str]
) -> None:
    async def inner(host: str, port: int) -> list[str]:
        return answers

    proxy = EgressProxy(EgressRules(hosts=("good.test",)), resolve=inner)
    async with served(proxy, tmp_path) as path:
        connect = await ask(path, b"CONNECT good.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        plain = await ask(path, get("http://good.test/"))
    assert b"403" in connect.splitlines()[0] and b"not a public address" in connect
    assert b"403" in plain.splitlines()[0]


async def test_the_connection_goes_to_the_address_that_was_checked(tmp_path: Path) -> None:
    """A name server that answers well first and badly afterwards is asked once a connection."""
    questions: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        questions.append(host)
        return ["127.0.0.1"] if len(questions) == 1 else ["10.0.0.1"]

    async with origin() as server:
        proxy = EgressProxy(rules_for(server), resolve=rebinding)
        url = f"http://good.test:{server.port}/"
        async with served(proxy, tmp_path) as path:
            first, second = await ask(path, get(url)), await ask(path, get(url))
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 403 ") and b"10.0.0.1" in second
    assert len(questions) == 2 and len(server.seen) == 1


async def test_a_server_that_is_away_is_an_answer(tmp_path: Path) -> None:
    async with origin() as server:
        rules = rules_for(server)
    proxy = EgressProxy(rules, resolve=loopback)
    async with served(proxy, tmp_path) as path:
        answer = await ask(path, get(f"http://{rules.hosts[0]}/"))
    assert answer.startswith(b"HTTP/1.1 502 ") and b"good.test" in answer


def tls_server(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """Server TLS for good.test, and the file that makes a client trust it."""
    authority = Authority()
    trusted = tmp_path / "upstream-ca.pem"
    trusted.write_text(authority.pem)
    return authority.server_context("good.test"), trusted


async def through(
    path: Path, port: int, name: str, trusting: str, request: bytes
) -> tuple[bytes, bytes]:
    """CONNECT to good.test, TLS for `name` inside; the answer and the certificate's issuer."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(f"CONNECT good.test:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(20):
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(ssl.create_default_context(cadata=trusting), server_hostname=name)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(request)
        answer = await reader.read()
    writer.close()
    return answer, shown


async def test_tls_passes_from_end_to_end(tmp_path: Path) -> None:
    context, trusted = tls_server(tmp_path)
    async with origin(context) as server:
        proxy = EgressProxy(rules_for(server), resolve=loopback)
        async with served(proxy, tmp_path) as path:
            answer, _ = await through(
                path, server.port, "good.test", trusted.read_text(), get("/simple/")
            )
    assert answer.endswith(b"hello")
    assert server.seen[0].startswith(b"GET /simple/ HTTP/1.1\r\nHost: whatever")


@pytest.mark.parametrize("first", ["other name", "no TLS"])
async def test_a_tunnel_serves_the_named_host_only(tmp_path: Path, first: str) -> None:
    """A content network would serve its other customers at the same address."""
    context, trusted = tls_server(tmp_path)
    async with origin(context) as server:
        proxy = EgressProxy(rules_for(server), resolve=loopback)
        async with served(proxy, tmp_path) as path:
            if first == "other name":
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await through(path, server.port, "evil.test", trusted.read_text(), get("/"))
            else:
                connect = f"CONNECT good.test:{server.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(connect)
                await reader.readuntil(b"\r\n\r\n")
                writer.write(get("/"))
                assert await reader.read() == b""
                writer.close()
    assert server.seen == []
    assert any("within a connection to good.test" in reason for reason in proxy.refused)


async def test_credentials_are_added_outside_of_the_sandbox(tmp_path: Path) -> None:
    context, trusted = tls_server(tmp_path)
    async with origin(context) as server:
        rules = rules_for(server, authorization={"good.test": SECRET})
        proxy = EgressProxy(rules, ca_file=str(trusted), resolve=loopback)
        async with served(proxy, tmp_path) as path:
            answer, _ = await through(
                path,
                server.port,
                "good.test",
                proxy.authority_pem,
                get("/private/pkg", "Authorization: Bearer from-the-sandbox"),
            )
            plain = await ask(path, get(f"http://good.test:{server.port}/"))
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"hello")
    assert SECRET.encode() in server.seen[0] and b"from-the-sandbox" not in server.seen[0]
    assert SECRET.encode() not in answer + proxy.authority_pem.encode()
    # Without TLS the credentials would lie open: the server saw no such request.
    assert b"200" not in plain.splitlines()[0] and len(server.seen) == 1


@pytest.mark.parametrize("permitted", [(), ("good.test",)])
async def test_with_the_operators_credentials_nothing_is_published(
    tmp_path: Path, permitted: tuple[str, ...]
) -> None:
    context, trusted = tls_server(tmp_path)
    read = get("/npm/lib")
    requests = [
        *(read.replace(b"GET", m, 1) for m in (b"PUT", b"POST", b"DELETE", b"PATCH", b"MKCOL")),
        get("/npm/lib", "X-HTTP-Method-Override: PUT"),
        get("/npm/lib", "Content-Length: 3") + b"abc",
    ]
    async with origin(context) as server:
        rules = rules_for(
            server,
            authorization={"good.test": SECRET},
            upload_hosts=tuple(f"{host}:{server.port}" for host in permitted),
        )
        proxy = EgressProxy(rules, ca_file=str(trusted), resolve=loopback)
        async with served(proxy, tmp_path) as path:
            answers = [
                (await through(path, server.port, "good.test", proxy.authority_pem, r))[0]
                for r in (*requests, read.replace(b"GET", b"HEAD", 1))
            ]
        seen = len(server.seen)
    codes = [answer.split()[1] for answer in answers]
    assert codes == [b"200" if permitted else b"403"] * len(requests) + [b"200"]
    assert seen == (len(codes) if permitted else 1)


async def test_credentials_go_to_no_server_that_cannot_prove_its_name(tmp_path: Path) -> None:
    impostor, _ = tls_server(tmp_path)
    async with origin(impostor) as server:
        rules = rules_for(server, authorization={"good.test": SECRET})
        proxy = EgressProxy(rules, resolve=loopback)  # does not trust that authority
        async with served(proxy, tmp_path) as path:
            answer, _ = await through(
                path, server.port, "good.test", proxy.authority_pem, get("/private/pkg")
            )
    assert answer.startswith(b"HTTP/1.1 502 ") and server.seen == []


async def test_bodies_go_up_and_down_whole(tmp_path: Path) -> None:
    async with origin() as server:
        big = b"x" * 3_000_000
        server.answer = b"HTTP/1.0 200 OK\r\n\r\n" + big
        proxy = EgressProxy(rules_for(server), resolve=loopback)
        request = (
            f"POST http://good.test:{server.port}/up HTTP/1.1\r\nHost: x\r\n"
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        async with served(proxy, tmp_path) as path:
            answer = await ask(path, request.encode())
    assert b"abc" in server.seen[0]
    assert answer.count(b"x") == len(big)


async def test_garbage_and_hang_ups_do_not_affect_other_clients(tmp_path: Path) -> None:
    async with origin() as server:
        proxy = EgressProxy(rules_for(server), resolve=loopback)
        url = f"http://good.test:{server.port}/"
        async with served(proxy, tmp_path) as path:
            for garbage in (
                b"\0" * 4096,
                b"GET " + b"a" * 200_000,
                b"\r\n\r\n",
                b"",
                get(url)[:30],
            ):
                _, writer = await asyncio.open_unix_connection(path)
                writer.write(garbage)
                writer.transport.abort()
            assert (await ask(path, get(url))).endswith(b"hello")
