"""A stand-in of Sentry's web API, as strict as its documentation, on this machine's loopback.

Facts: docs.sentry.io/api/events/ ("Retrieve an Issue", "Retrieve an Issue Event", "Update an
Issue") and /api/auth/. With `glitchtip`, the paths of GlitchTip's `apps/issue_events/api/`, which
has no event below an organisation and takes only its own states.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "sntrys_token-of-the-operator"
STATES = ("resolved", "resolvedInNextRelease", "unresolved", "ignored")


class SentryApi(ThreadingHTTPServer):
    """Issues with their states and latest events, and what was asked."""

    def __init__(self, *, glitchtip: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.glitchtip = glitchtip
        self.issues: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.changes: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[int] = []
        """Statuses that the next answers have instead of their own."""
        self.violations: list[str] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, issue: str, event: dict[str, Any] | None = None) -> None:
        """An issue, with its latest event."""
        self.issues[issue] = {"id": issue, "status": "unresolved", "statusDetails": {}}
        if event is not None:
            self.events[issue] = event


@contextmanager
def sentry_api(*, glitchtip: bool = False) -> Iterator[SentryApi]:
    """The stand-in, while the block runs."""
    with SentryApi(glitchtip=glitchtip) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: SentryApi

    def do_GET(self) -> None:
        self._answer("GET", {})

    def do_PUT(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer("PUT", json.loads(self.rfile.read(length)))

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def _answer(self, method: str, body: dict[str, Any]) -> None:
        server = self.server
        server.asked.append(f"{method} {self.path}")
        if server.answers:
            self._send(server.answers.pop(0), {"detail": "as told"})
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"detail": "Invalid token"})
            return
        of_organisation = r"organizations/acme/issues/(\d+)"
        plain = r"issues/(\d+)"
        issue = re.fullmatch(rf"/api/0/(?:{of_organisation}|{plain})/", self.path)
        where = plain if server.glitchtip else of_organisation
        event = re.fullmatch(rf"/api/0/{where}/events/latest/", self.path)
        if method == "GET" and event and event[1] in server.events:
            self._send(200, server.events[event[1]])
            return
        number = (issue[1] or issue[2]) if issue else ""
        if number not in server.issues:
            self._send(404, {"detail": "The requested resource does not exist"})
            return
        if method == "PUT":
            self._change(number, body)
        self._send(200, server.issues[number])

    def _change(self, number: str, body: dict[str, Any]) -> None:
        server = self.server
        states = STATES if not server.glitchtip else ("resolved", "unresolved", "ignored")
        if body.get("status") not in states or set(body) - {"status", "statusDetails"}:
            server.violations.append(f"{body}")
        details = body.get("statusDetails", {})
        if set(details) - {"inRelease", "inNextRelease", "inCommit"}:
            server.violations.append(f"{body}")
        server.changes.append((number, body))
        server.issues[number] |= {"status": body["status"], "statusDetails": details}

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
