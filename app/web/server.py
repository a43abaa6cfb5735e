"""The web server that every part of the program uses, with the settings' address."""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp

from app.settings.schema import Settings


def web_server(app: ASGIApp, settings: Settings, *, stop_s: int, port: int = 0) -> uvicorn.Server:
    """A server that is to be run; it ends at most `stop_s` seconds after it was told to.

    It logs nothing by itself and believes no proxy's headers: who asks decides nothing.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=port or settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=stop_s,
        )
    )
