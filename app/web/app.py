"""The HTTP service: takes GitHub's deliveries, and shows the runs.

A delivery is answered with 2xx only after it and its run are durable. Telling the durable engine
follows in the same request; if that fails, the run stands in the outbox and is told later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect
from starlette.types import Lifespan

from app.github import webhooks
from app.intake.receive import Intake, take_in
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.telemetry import logs
from app.telemetry.metrics import CONTENT_TYPE
from app.web.auth import operator_token
from app.web.auth.github_sign_in import sign_in_pages
from app.web.auth.visitors import Asking
from app.web.dashboard.routes import pages
from app.web.metrics import Metrics
from app.web.middleware import dress
from app.web.setup.routes import setup_pages

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Web:
    """What the service needs."""

    settings: Settings
    store: SqlStore
    enqueue: Callable[[str], None]
    """Tells the durable engine of a run and notes it; may raise, for the outbox has the run."""
    ready: Callable[[], bool] = lambda: True
    """Whether the durable engine is up."""
    enqueue_ask: Callable[[str], None] = lambda _id: None
    """As `enqueue`, of what is asked and is no run yet."""
    asking: Asking | None = None
    """Tells what a person may do in a repository, for the pages; None: only operators sign in."""

    @property
    def intake(self) -> Intake:
        """Where deliveries go."""
        return Intake(self.settings, self.store, self.enqueue, self.enqueue_ask)


def create_app(web: Web, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The service as an ASGI application; `lifespan` is what runs beside it."""
    app = FastAPI(
        title="Patchwright", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    metrics = Metrics(web.store, web.settings)
    app.include_router(pages(web.settings, web.store, web.asking, web.enqueue))
    app.include_router(sign_in_pages(web.settings))
    app.include_router(setup_pages(web.settings, configured=lambda: True))

    dress(app, web.settings)

    async def deliver(request: Request) -> Response:
        with metrics.acknowledged.time():
            try:
                status, answer = await _deliver(web, request)
            except HTTPException as error:
                metrics.deliveries.labels(f"refused {error.status_code}").inc()
                raise
        metrics.deliveries.labels(answer["result"]).inc()
        return JSONResponse(answer, status)

    # A plain route: nothing of what FastAPI does for a handler's parameters is needed here.
    app.add_route("/webhooks/github", deliver, methods=["POST"])

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    def readyz() -> PlainTextResponse:
        try:
            web.store.ping()
        except SQLAlchemyError:
            return PlainTextResponse("the database does not answer\n", 503)
        if not web.ready():
            return PlainTextResponse("the durable engine is not up\n", 503)
        return PlainTextResponse("ready\n")

    @app.get("/metrics")
    def show_metrics(request: Request) -> Response:
        # Prometheus asks directly; what comes through the proxy comes from outside.
        if operator_token.was_forwarded(request.headers):
            raise HTTPException(404, "There is nothing here.")
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return app


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body, never holding more than `limit` bytes of it. Raises 413 or 400."""
    # Closing ends the sender's flow: the server would read the rest to its end otherwise.
    too_large = HTTPException(
        413, f"The body is larger than {limit} bytes.", {"Connection": "close"}
    )
    declared = request.headers.get("content-length")
    if declared is not None:
        if not (declared.isascii() and declared.isdecimal() and len(declared) < 20):
            raise HTTPException(400, "The Content-Length header is not a number.")
        if int(declared) > limit:
            raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect:
        raise HTTPException(400, "The body ended early.") from None
    return b"".join(chunks)


async def _deliver(web: Web, request: Request) -> tuple[int, dict[str, str]]:
    """Check, keep and pass on one delivery: status and answer. Raises `HTTPException`."""
    started = time.monotonic()
    body = await read_body(request, web.settings.body_limit_bytes)
    signature = request.headers.get("x-hub-signature-256")
    if signature is None:
        raise HTTPException(401, "The X-Hub-Signature-256 header is missing.")
    # At most a small local file: a thread would cost more than it.
    secret = web.settings.secret("github_webhook_secret")
    if not webhooks.verify(secret, body, signature):
        raise HTTPException(401, "The signature does not fit the body.")
    event = request.headers.get("x-github-event", "")
    delivery = request.headers.get("x-github-delivery", "")
    try:
        taken = await run_in_threadpool(take_in, web.intake, event, delivery, body)
    except webhooks.BadPayload as error:
        raise HTTPException(400, f"Bad payload: {error}.") from None
    if taken.result == "ignored":
        return 200, {"result": "ignored", "reason": taken.reason}
    _log.info(
        "delivery",
        delivery=delivery,
        github_event=event,
        run=taken.run_id,
        how=taken.result,
        ms=round((time.monotonic() - started) * 1000),
    )
    answer = {"result": taken.result}
    if taken.run_id:
        url = f"{web.settings.base_url}/runs/{taken.run_id}"
        answer |= {"run": taken.run_id, "url": url}
    return (202 if taken.result in ("new", "noted") else 200), answer
