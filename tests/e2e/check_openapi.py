"""Schemathesis over the service's own OpenAPI description, as each kind of visitor.

`make check-openapi` runs it. Schemathesis stands in an environment of its own, made once (40 MB).
It sends what the description allows and what it forbids, with a fixed seed; the service is a real
one with runs in it, and every answer is looked at here: none is a server error, and none tells a
visitor a word of what that visitor may not see.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.github.records import Permission, Role
from app.queue import worker_registry
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.web.app import Web, create_app
from app.web.auth import github_sign_in
from app.web.auth.github_sign_in import Account
from app.web.auth.visitors import Place, RoleSource
from app.web.dashboard import live
from tests.doubles.sglang.optional import Unavailable, environment
from tests.e2e.dashboard_world import hostile_events
from tests.support.runs.stored import trigger
from tests.support.serving import serving

SCHEMATHESIS = "schemathesis==4.32.5"
SEED = "20261127"
OPERATOR, WEBHOOK, CLIENT = "operator-token-0a1b", "webhook-secret-2c3d", "client-secret-4e5f"
CLOSED, OPEN, WORKER = "closed-repo-words", "open-repo-words", "worker-7.internal.example"
SECRETS = (OPERATOR, WEBHOOK, CLIENT)
VISITORS = {
    "nobody": (*SECRETS, CLOSED, OPEN, WORKER),
    "stranger": (*SECRETS, CLOSED, OPEN, WORKER),
    "reader": (*SECRETS, CLOSED, WORKER),
    "operator": SECRETS,
    "github": (*SECRETS, CLOSED, OPEN, WORKER),
}
"""Who asks, and the words that no answer to them may have."""


@dataclass
class Watched:
    """An application whose answers are looked at; on the way in, requests show who asks."""

    app: ASGIApp
    settings: Settings
    visitor: str = ""
    faults: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        receive = await self._shown(scope, receive)
        told = bytearray()
        where = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}"

        async def look(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                self.statuses[status] += 1
                # 502: GitHub, which is away here; 503: more streams than one visitor may have.
                if status >= 500 and status not in (502, 503):
                    self.faults.append(f"{status} {where}")
                told.extend(repr(message["headers"]).encode())
            elif message["type"] == "http.response.body":
                told.extend(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, look)
        except Exception as error:
            self.faults.append(f"{type(error).__name__} {where}")
            raise
        for word in VISITORS[self.visitor]:
            # What the visitor asked for may come back.
            if word.encode() in told and word not in where:
                self.faults.append(f"{word} in the answer to {where}")

    async def _shown(self, scope: Scope, receive: Receive) -> Receive:
        """The request as this visitor's: with the token, with a session, or signed as GitHub's."""
        proofs: dict[bytes, str] = {}
        if self.visitor == "operator":
            proofs[b"authorization"] = f"Bearer {OPERATOR}"
        elif self.visitor in ("stranger", "reader"):
            cookie = github_sign_in.session_cookie(
                self.settings, Account(self.visitor), time.time()
            )
            proofs[b"cookie"] = f"{github_sign_in.SESSION}={cookie}"
        elif self.visitor == "github":
            body = await _body(receive)
            receive = _replayed(body)
            proof = hmac.new(WEBHOOK.encode(), body, hashlib.sha256).hexdigest()
            proofs[b"x-hub-signature-256"] = f"sha256={proof}"
        kept = [(name, value) for name, value in scope["headers"] if name not in proofs]
        scope["headers"] = [*kept, *((name, value.encode()) for name, value in proofs.items())]
        return receive


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replayed(body: bytes) -> Receive:
    async def again() -> Message:
        return {"type": "http.request", "body": body}

    return again


def description(app: FastAPI, runs: list[str]) -> dict[str, Any]:
    """FastAPI's own, with the delivery that it does not know, and with the runs that there are."""
    found = app.openapi()
    header = {"in": "header", "required": True, "schema": {"type": "string"}}
    found["paths"]["/webhooks/github"] = {
        "post": {
            "parameters": [
                {**header, "name": "X-GitHub-Delivery"},
                {**header, "name": "X-Hub-Signature-256"},
                {
                    **header,
                    "name": "X-GitHub-Event",
                    "schema": {
                        "enum": ["issues", "issue_comment", "check_run", "pull_request", "ping"]
                    },
                },
            ],
            "requestBody": {"content": {"application/json": {"schema": _delivery()}}},
            "responses": {"200": {"description": "taken"}},
        }
    }
    for path in found["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "run_id":
                    parameter["schema"] = {"anyOf": [{"enum": runs}, parameter["schema"]]}
    return found


def _delivery() -> dict[str, Any]:
    """The shape of a delivery, loosely: each part may be there, and may be anything."""
    anything: dict[str, Any] = {}
    number = {"anyOf": [{"type": "integer"}, anything]}
    text = {"anyOf": [{"type": "string"}, anything]}
    thing = {"type": "object", "properties": {"id": number, "number": number, "title": text,
             "body": text, "login": text, "full_name": text, "default_branch": text,
             "user": {"type": "object", "properties": {"login": text, "type": text}}}}  # fmt: skip
    actions = ["labeled", "created", "completed", "closed", "opened", "edited", "rerequested"]
    parts = ("issue", "repository", "sender", "label", "comment", "check_run", "pull_request")
    either = {"anyOf": [thing, anything]}
    return {
        "type": "object",
        "properties": {
            "action": {"enum": actions},
            "installation": {"type": "object", "properties": {"id": number}},
            **dict.fromkeys(parts, either),
        },
    }


def main() -> None:
    """Run it; the exit status is 0 only if every answer was as it should be."""
    examples = sys.argv[1] if len(sys.argv) > 1 else "40"
    try:
        program = environment("schemathesis-venv", (SCHEMATHESIS,)).parent / "st"
    except Unavailable as error:
        sys.exit(f"it cannot be installed here: {error}")
    live.LONGEST_S = 0.2  # a stream that has an end is an answer like any other
    with tempfile.TemporaryDirectory(prefix="patchwright-openapi-") as folder:
        settings = Settings(
            state_dir=Path(folder),
            operator_token=OPERATOR,
            github_webhook_secret=WEBHOOK,
            github_client_id="Iv1.a",
            github_client_secret=CLIENT,
            github_web_url="http://127.0.0.1:1",
            github_api_url="http://127.0.0.1:1",
        )
        store = SqlStore(settings.database)
        runs = [_run(store, number, word) for number, word in enumerate((CLOSED, OPEN), 1)]
        worker_registry.register(store.database, WORKER)
        app = create_app(
            Web(settings, store, lambda _run: None, asking=RoleSource(_role, _least, _private))
        )
        schema = Path(folder) / "openapi.json"
        schema.write_text(json.dumps(description(app, runs)))
        watched = Watched(app, settings)
        begun = time.monotonic()
        with serving(watched) as url:  # type: ignore[arg-type]
            for visitor in VISITORS:
                watched.visitor = visitor
                said = _fuzz(program, schema, url, examples)
                print(f"{visitor}: {dict(sorted(watched.statuses.items()))}", flush=True)
                if not watched.statuses:
                    sys.exit(said)
                watched.statuses.clear()
        print(f"{time.monotonic() - begun:.0f} s")
    if watched.faults:
        sys.exit("\n".join(list(dict.fromkeys(watched.faults))[:40]))


def _run(store: SqlStore, number: int, word: str) -> str:
    asked = trigger(number, f"octo/{word}", f"title {word}")
    run = store.accept(f"d{number}", "issues", asked, model="m").run_id
    store.append(run, hostile_events())
    store.put_log(run, "bash:1", f"log {word}".encode())
    return run


async def _role(place: Place, account: Account) -> Permission:
    role = "read" if account.login == "reader" and OPEN in place.repository else "none"
    return Permission(role, role)


async def _private(_place: Place) -> bool:
    return True


async def _least(_place: Place) -> Role:
    return "write"


def _fuzz(program: Path, schema: Path, url: str, examples: str) -> str:
    command = [
        *(str(program), "run", str(schema), "--url", url, "--seed", SEED),
        *("--max-examples", examples, "--phases", "examples,coverage,fuzzing"),
        *("--checks", "not_a_server_error", "--continue-on-failure", "--no-shrink"),
        *("--suppress-health-check", "all", "--request-timeout", "20", "--max-redirects", "0"),
        *("--workers", "2", "--warnings", "off"),
    ]
    done = subprocess.run(
        command, cwd=schema.parent, capture_output=True, text=True, timeout=900, check=False
    )
    return done.stdout[-2000:] + done.stderr[-2000:]


if __name__ == "__main__":
    main()
