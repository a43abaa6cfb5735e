"""What is no answer of GitHub is an outage, and no call lasts as long as a server likes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.github.app import GithubApp
from app.github.client import GithubForge
from app.github.errors import ForgeAway
from app.github.transport import REDIRECTS
from tests.support.serving import key

__all__ = ["key"]

TOKEN = {"token": "t", "expires_at": "2099-01-01T00:00:00Z", "permissions": {}}
CALLS: dict[str, Callable[[GithubForge], Awaitable[object]]] = {
    "permission": lambda forge: forge.permission("u"),
    "issue": lambda forge: forge.issue(1),
    "repository": lambda forge: forge.repository(),
    "file": lambda forge: forge.file(".github/patchwright.yml"),
    "pull": lambda forge: forge.pull(1),
    "login": lambda forge: forge.bot_login(),
}


@contextmanager
def answering(body: bytes, *, drip_s: float = 0.0) -> Iterator[str]:
    """A server that answers everything so, but requests for a token."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = "access_tokens" in self.path
            text = json.dumps(TOKEN).encode() if token else body
            self.send_response(201 if token else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            for byte in text if drip_s and not token else ():
                if ended.wait(drip_s):
                    return
                self.wfile.write(bytes([byte]))
            if token or not drip_s:
                self.wfile.write(text)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def forge_at(url: str, key: str) -> GithubForge:
    app = GithubApp("1", key, api_url=url, timeout_s=1, seconds_between_writes=0)
    return GithubForge(app, 1, "o/r")


@pytest.mark.parametrize("body", [b"<html>Scheduled maintenance</html>", b"{}", b"[]", b"null"])
async def test_garbage_is_an_outage(key: str, body: bytes) -> None:
    with answering(body) as url:
        for name, call in CALLS.items():
            forge = forge_at(url, key)
            with pytest.raises(ForgeAway):
                pytest.fail(f"{name} was believed: {await call(forge)!r}")
            await forge.close()


async def test_a_call_has_an_end_and_the_next_one_does_not_wait_for_it(key: str) -> None:
    with answering(b" " * 1000, drip_s=0.5) as url:
        forge = forge_at(url, key)
        started = time.monotonic()
        ended = await asyncio.gather(
            *(forge.permission("u") for _ in range(8)), return_exceptions=True
        )
        assert all(isinstance(error, ForgeAway) for error in ended)
        assert time.monotonic() - started < 30


@contextmanager
def moving(status: int, location: str) -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A server where `o/r` has moved; with what reached the new place: method, path, body."""
    seen: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, text = 200, b"[]"
            if "access_tokens" in self.path:
                code, text = 201, json.dumps(TOKEN).encode()
            elif self.path.startswith("/repos/o/r/"):
                code, text = status, b'{"message": "Moved"}'
            else:
                seen.append((self.command, self.path, body))
                if self.command == "POST":
                    text = b'[{"name": "bug"}]'
            self.send_response(code)
            if code == status:
                self.send_header("Location", location + self.path.removeprefix("/repos/o/r"))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", REDIRECTS)
async def test_reads_and_writes_are_repeated_at_the_new_place(key: str, status: int) -> None:
    with moving(status, "/repositories/5") as (url, seen):
        forge = forge_at(url, key)
        await forge.add_labels(7, ["bug"])
        assert await forge.review_comments(7) == ()
        await forge.close()
    assert seen[0] == ("POST", "/repositories/5/issues/7/labels", b'{"labels": ["bug"]}')
    assert ("GET", "/repositories/5/pulls/7/reviews?page=1&per_page=100", b"") in seen


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/repositories/5", "/repos/o/r"])
async def test_a_write_that_leads_nowhere_is_no_success(key: str, location: str) -> None:
    with moving(307, location) as (url, seen):
        forge = forge_at(url, key)
        with pytest.raises(ForgeAway, match="redirect"):
            await forge.add_labels(7, ["bug"])
        await forge.close()
    assert seen == []
