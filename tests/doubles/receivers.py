"""Receivers of notifications on this machine's loopback: over HTTP, and a mail server."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class HttpReceiver(ThreadingHTTPServer):
    """Answers 200, or as it is told; remembers what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        """Statuses and headers of the next answers."""
        self.open = threading.Event()
        """Until it is set, nothing is answered."""
        self.open.set()

    @property
    def url(self) -> str:
        """Its address, which holds a secret as that of most services does."""
        return f"http://127.0.0.1:{self.server_address[1]}/hooks/T0P-S3CRET"


class _Handler(BaseHTTPRequestHandler):
    server: HttpReceiver

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        came = Received(self.command, self.path, headers, self.rfile.read(length))
        self.server.received.append(came)
        self.server.open.wait(60)
        status, more = self.server.answers.pop(0) if self.server.answers else (200, {})
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it did not wait
            self.end_headers()
            self.wfile.write(b"ok")

    do_PUT = do_POST
    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@contextmanager
def http_receiver() -> Iterator[HttpReceiver]:
    """A receiver, while the block runs."""
    with HttpReceiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


class MailServer(socketserver.ThreadingTCPServer):
    """The part of RFC 5321 that sending one mail needs, without encryption."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.mails: list[str] = []
        self.refuse = ""
        """What is answered to the mail instead."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Mail(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 mail.example ESMTP")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                self._say("250 mail.example")
            elif word == "DATA":
                self._say("354 go on")
                text = []
                while (more := self.rfile.readline().decode()) != ".\r\n":
                    text.append(more)
                if not self.server.refuse:
                    self.server.mails.append("".join(text))
                self._say(self.server.refuse or "250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server, while the block runs."""
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
