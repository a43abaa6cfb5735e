"""The HTTP service: takes GitHub's deliveries, and shows the runs.

A delivery is answered with 2xx only after it and its run are durable. Telling the durable engine
follows in the same request; if that fails, the run is in the outbox and is told later.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Lifespan

from app.intake.receive import Intake
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.telemetry import logs
from app.telemetry.metrics import CONTENT_TYPE
from app.web import alert_endpoint
from app.web.alert_endpoint import LONGEST_ALERT, deliver_alerts
from app.web.auth import operator_token
from app.web.auth.ended_sessions import ended_in
from app.web.auth.github_sign_in import sign_in_pages
from app.web.auth.visitors import RoleSource
from app.web.dashboard import routes as dashboard
from app.web.dashboard.context import dashboard_of
from app.web.metrics import Metrics
from app.web.middleware import install_middleware
from app.web.request_body import MOST_HELD, BodyMemory
from app.web.setup.routes import setup_pages
from app.web.webhook_endpoint import deliver

_log = logs.get(__name__)


LEAST_FREE = 32 * 1024 * 1024
"""Bytes on the state folder's disk below which the service takes nothing more."""


@dataclass(frozen=True, slots=True)
class Web:
    """What the service needs."""

    settings: Settings
    store: SqlStore
    enqueue: Callable[[str], None]
    """Tells the durable engine of a run and notes it; may raise, for the outbox has the run."""
    ready: Callable[[], bool] = lambda: True
    """Whether the durable engine is up."""
    enqueue_event: Callable[[str], None] = lambda _id: None
    """As `enqueue`, of what is asked and is no run yet."""
    asking: RoleSource | None = None
    """Tells what a person may do in a repository, for the pages; None: only operators sign in."""

    @property
    def intake(self) -> Intake:
        """Where deliveries go."""
        return Intake(self.settings, self.store, self.enqueue, self.enqueue_event)


def create_app(web: Web, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """The service as an ASGI application; `lifespan` is what runs beside it."""
    app = FastAPI(
        title="Patchwright",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        # They would lead to whatever host a request names, by http.
        redirect_slashes=False,
    )
    metrics = Metrics(web.store, web.settings)
    app.state.dashboard = dashboard_of(web.settings, web.store, web.asking, web.enqueue)
    app.include_router(dashboard.router)
    app.include_router(sign_in_pages(web.settings, web.store.database))
    app.include_router(
        setup_pages(web.settings, configured=lambda: True, is_ended=ended_in(web.store.database))
    )

    limits = {"/webhooks/github": web.settings.body_limit_bytes, alert_endpoint.PATH: LONGEST_ALERT}
    install_middleware(app, web.settings, limits)
    memory = BodyMemory(max(MOST_HELD, web.settings.body_limit_bytes))
    # Of its own: what strangers begin to send there must not cost GitHub's deliveries.
    alert_memory = BodyMemory(8 * LONGEST_ALERT)

    async def receive(request: Request) -> Response:
        with metrics.acknowledged.time():
            try:
                status, answer = await deliver(web.settings, web.intake, memory, request)
            except HTTPException as error:
                metrics.deliveries.labels(f"refused {error.status_code}").inc()
                raise
        metrics.deliveries.labels(answer["result"]).inc()
        return JSONResponse(answer, status)

    # A plain route: nothing of what FastAPI does for a handler's parameters is needed here.
    app.add_route("/webhooks/github", receive, methods=["POST"])

    async def receive_alerts(request: Request) -> Response:
        taken_in = (web.settings, web.store, web.enqueue_event, alert_memory, request)
        try:
            status, answer = await deliver_alerts(*taken_in)
        except HTTPException as error:
            metrics.deliveries.labels(f"alert refused {error.status_code}").inc()
            raise
        metrics.deliveries.labels(f"alert {answer['result']}").inc()
        return JSONResponse(answer, status)

    app.add_route(alert_endpoint.PATH + "{source}", receive_alerts, methods=["POST", "PUT"])

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    def readyz() -> PlainTextResponse:
        try:
            web.store.ping()
        except SQLAlchemyError:
            return PlainTextResponse("the database does not respond\n", 503)
        if not web.ready():
            return PlainTextResponse("the durable engine is not running\n", 503)
        if shutil.disk_usage(web.settings.state_dir).free < LEAST_FREE:
            return PlainTextResponse("the state folder's disk is full\n", 503)
        return PlainTextResponse("ready\n")

    @app.get("/metrics")
    def show_metrics(request: Request) -> Response:
        if not operator_token.may_scrape(web.settings, request.headers):
            raise operator_token.scrape_token_required()
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return app
