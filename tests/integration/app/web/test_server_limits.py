"""What a peer that proves nothing can hold of the service: connections, time, memory."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.web import server as web_server_module
from app.web.app import Web, create_app
from app.web.server import web_server
from tests.support.serving import running

HEAD = b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"
LARGE = 64 * 1024 * 1024
"""More than the kernel buffers for a connection."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in (("HEADERS_S", 0.4), ("BODY_S", 0.8), ("STALLED_S", 0.4)):
        monkeypatch.setattr(web_server_module, name, value)
    monkeypatch.setattr(web_server_module, "MOST_CONNECTIONS", 8)
    settings = Settings(state_dir=tmp_path, github_webhook_secret="s")
    app = create_app(Web(settings, SqlStore(settings.database), lambda _: None))
    add_large_page(app)
    server = web_server(app, settings, stop_s=2)
    server.config.port = 0
    with running(server) as where:
        yield where


def add_large_page(app: FastAPI) -> None:
    @app.get("/large")
    def large() -> PlainTextResponse:
        return PlainTextResponse("x" * LARGE)


def connected(address: str) -> socket.socket:
    url = httpx.URL(address)
    return socket.create_connection((url.host, url.port), timeout=20)


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    got = b""
    try:
        while piece := connection.recv(65_536):
            got += piece
    except ConnectionResetError:
        pass
    return got


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        HEAD + b"X-A: ",
        HEAD + b"Content-Length: 100\r\n\r\nnot all of it",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nX-",
    ],
)
def test_what_is_not_sent_in_time_ends_the_connection(address: str, begun: bytes) -> None:
    started = time.monotonic()
    with connected(address) as connection:
        connection.sendall(begun)
        received(connection)
    assert time.monotonic() - started < 10


def test_a_byte_now_and_then_buys_no_time(address: str) -> None:
    with connected(address) as connection, pytest.raises(OSError):
        connection.sendall(HEAD + b"X-A: ")
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)


def test_who_does_not_read_is_cut_off(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.5)
        assert len(received(connection)) < LARGE


def test_who_waits_longest_makes_room(address: str) -> None:
    with ExitStack() as held:
        first = held.enter_context(connected(address))
        for _ in range(12):
            held.enter_context(connected(address)).sendall(HEAD)
            assert httpx.get(f"{address}/healthz").status_code == 200
        assert received(first) == b""


@pytest.mark.parametrize("length", [b"", b"Content-Length: 10\r\n"])
def test_bodies_in_chunks_are_not_taken(address: str, length: bytes) -> None:
    with connected(address) as connection:
        connection.sendall(HEAD + length + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400")


def test_a_form_is_small_whatever_reads_it(address: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = httpx.post(f"{address}/sign-in", content=b"token=" + b"x" * 70_000, headers=form)
    assert answer.status_code == 413
