"""The HTTP service: takes GitHub's deliveries, and shows the runs.

A delivery is answered with 2xx only after it and its run are durable. Telling the durable engine
follows in the same request; if that fails, the run stands in the outbox and is told later.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect
from starlette.types import Lifespan

from app import logs, policy, webhooks
from app.metrics import Metrics
from app.pages import pages
from app.settings import Settings
from app.setup_page import setup_pages
from app.store import SqlStore
from app.web_dress import dress

_DELIVERY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_EVENT = re.compile(r"[a-z_]{1,64}")

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


def create_app(web: Web, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The service as an ASGI application; `lifespan` is what runs beside it."""
    app = FastAPI(
        title="Patchwright", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    metrics = Metrics(web.store.count_runs)
    app.include_router(pages(web.settings, web.store))
    app.include_router(setup_pages(web.settings, configured=lambda: True))

    dress(app, web.settings)

    @app.post("/webhooks/github")
    async def deliver(request: Request) -> Response:
        with metrics.acknowledged.time():
            try:
                status, answer = await _deliver(web, request)
            except HTTPException as error:
                metrics.deliveries.labels(f"refused {error.status_code}").inc()
                raise
        metrics.deliveries.labels(answer["result"]).inc()
        return JSONResponse(answer, status)

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
    def show_metrics() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

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
    secret = await run_in_threadpool(web.settings.secret, "github_webhook_secret")
    if not webhooks.verify(secret, body, signature):
        raise HTTPException(401, "The signature does not fit the body.")
    event = request.headers.get("x-github-event", "")
    delivery = request.headers.get("x-github-delivery", "")
    try:
        parsed = webhooks.parse(event, body)
    except webhooks.BadPayload as error:
        raise HTTPException(400, f"Bad payload: {error}.") from None
    if not _EVENT.fullmatch(event) or not _DELIVERY_ID.fullmatch(delivery):
        raise HTTPException(400, "X-GitHub-Event or X-GitHub-Delivery is missing or malformed.")
    if isinstance(parsed, webhooks.Ignored):
        return 200, {"result": "ignored", "reason": parsed.reason}
    if reason := policy.refusal(parsed, label=web.settings.label):
        return 200, {"result": "ignored", "reason": reason}
    accepted = await run_in_threadpool(
        web.store.accept, delivery, event, parsed, model=web.settings.profile
    )
    if accepted.how == "new":
        await run_in_threadpool(_enqueue, web, accepted.run_id)
    _log.info(
        "delivery",
        delivery=delivery,
        run=accepted.run_id,
        how=accepted.how,
        repository=parsed.repository,
        issue=parsed.issue_number,
        by=parsed.sender,
        ms=round((time.monotonic() - started) * 1000),
    )
    return (202 if accepted.how == "new" else 200), {
        "result": accepted.how,
        "run": accepted.run_id,
        "url": f"{web.settings.base_url}/runs/{accepted.run_id}",
    }


def _enqueue(web: Web, run_id: str) -> None:
    try:
        web.enqueue(run_id)
    except Exception:  # noqa: BLE001  whatever the engine's trouble: the outbox has the run
        _log.warning("the run could not be enqueued yet", run=run_id, exc_info=True)
