"""Set-up mode: a small server with nothing but `/setup`, until there is an App."""

from __future__ import annotations

from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, RedirectResponse

from app import logs
from app.app_credentials import AppIdentity
from app.settings import Settings
from app.setup_page import setup_pages
from app.web_dress import dress

_log = logs.get(__name__)


class NotSetUp(Exception):
    """There is no App, or set-up is not to be done here; the message says why."""


def until_set_up(settings: Settings) -> AppIdentity:
    """Serve the set-up pages until an App is set up, and give it.

    Raises `NotSetUp` at SIGTERM or SIGINT.
    """
    made: list[AppIdentity] = []

    def done(app: AppIdentity) -> None:
        made.append(app)
        server.should_exit = True

    server = uvicorn.Server(
        uvicorn.Config(
            setup_app(settings, done),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
    )
    _log.info("no App yet: set it up", url=f"{settings.base_url}/setup")
    server.run()
    if not made:
        raise NotSetUp("Set-up was ended before there was an App.")
    return made[0]


def setup_app(settings: Settings, done: Callable[[AppIdentity], None]) -> FastAPI:
    """The application of set-up mode."""
    app = FastAPI(title="Patchwright", docs_url=None, redoc_url=None, openapi_url=None)
    dress(app, settings)
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
