"""A worker's HTTP port for its health, readiness and metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings
from app.telemetry import metrics as telemetry_metrics
from app.web.auth import operator_token
from app.web.server import web_server

STOP_S = 10.0


@contextmanager
def health_server(
    settings: Settings, ping: Callable[[], None], ready: Callable[[], bool]
) -> Iterator[None]:
    """Answer on the worker's port during the block, in a separate thread; nothing without a port.

    `ping` raises when the database is away; `ready`: whether work is taken. Raises `SettingsError`
    when the port cannot be used.
    """
    if not settings.worker_port:
        yield
        return
    server = web_server(
        _application(settings, ping, ready), settings, stop_s=2, port=settings.worker_port
    )
    try:
        listening = server.config.bind_socket()
    except SystemExit:  # how uvicorn says that it cannot
        raise SettingsError(
            f"{PREFIX}WORKER_PORT: port {settings.worker_port} at {settings.host} cannot be used. "
            "Choose another one, or stop the program that uses it."
        ) from None
    thread = threading.Thread(
        target=server.run, args=([listening],), name="worker's port", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_S)
        listening.close()


def _application(
    settings: Settings, ping: Callable[[], None], ready: Callable[[], bool]
) -> Starlette:
    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def readyz(_request: Request) -> Response:
        try:
            ping()
        except SQLAlchemyError:
            return PlainTextResponse("the database does not answer\n", 503)
        if not ready():
            return PlainTextResponse("the worker takes no work\n", 503)
        return PlainTextResponse("ready\n")

    def show_metrics(request: Request) -> Response:
        if not operator_token.may_scrape(settings, request.headers):
            raise operator_token.scrape_token_required()
        return Response(
            telemetry_metrics.worker_metrics(), media_type=telemetry_metrics.CONTENT_TYPE
        )

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
        ]
    )
