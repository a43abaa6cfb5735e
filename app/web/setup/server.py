"""Set-up mode: a small server with nothing but `/setup`, until there is an App."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings.credentials import AppIdentity
from app.settings.schema import Settings
from app.telemetry import logs
from app.web.middleware import install_middleware
from app.web.server import web_server
from app.web.setup.routes import setup_pages

LAST_PAGE = "/setup/callback"
PARTS = frozenset({"/assets/style.css", "/assets/icon.svg"})
"""What the last page is made of."""
QUIET_S, LONGEST_S = 2.0, 10.0
"""After the last page the server ends when its parts are sent and nothing more was asked for so
long; after the longer time in any case."""

_log = logs.get(__name__)


class NotSetUp(Exception):
    """There is no App, or set-up is not possible here; the message says why."""


def serve_until_set_up(settings: Settings) -> AppIdentity:
    """Serve the set-up pages until an App is set up, and give it.

    Raises `NotSetUp` at SIGTERM or SIGINT.
    """
    made: list[AppIdentity] = []

    def done(app: AppIdentity) -> None:
        made.append(app)
        last_page.wait()
        server.should_exit = True

    last_page = LastPage(setup_app(settings, done))
    server = web_server(last_page, settings, stop_s=5)
    _log.info(
        "no App yet: set it up",
        url=f"{settings.base_url}/setup?token=…",
        operator_token_file=str(settings.operator_token_file or ""),
    )
    server.run()
    if not made:
        raise NotSetUp("Set-up ended before an App was created.")
    return made[0]


class LastPage:
    """The application, which knows when the browser has all of its last page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._sent: set[str] = set()
        self._asked_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and note what was asked for since the last page."""
        if scope["type"] == "http":
            self._asked_at = time.monotonic()
            if scope["path"] == LAST_PAGE:
                self._sent.clear()
        await self._app(scope, receive, send)
        if scope["type"] == "http":
            self._sent.add(scope["path"])

    def wait(self) -> None:
        """Until the browser has all. Blocks."""
        end = time.monotonic() + LONGEST_S
        while time.monotonic() < end:
            if self._sent >= PARTS and time.monotonic() - self._asked_at > QUIET_S:
                return
            time.sleep(0.05)


def setup_app(settings: Settings, done: Callable[[AppIdentity], None]) -> FastAPI:
    """The application of set-up mode."""
    app = FastAPI(
        title="Patchwright",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    install_middleware(app, settings)
    app.include_router(setup_pages(settings, configured=lambda: False, on_done=done))

    @app.get("/")
    async def root() -> RedirectResponse:
        return RedirectResponse("/setup")

    @app.get("/healthz")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def readyz() -> PlainTextResponse:
        return PlainTextResponse("no App is set up yet\n", 503)

    return app
