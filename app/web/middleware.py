"""What every page of the service has: safe headers, errors as pages, the style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.journal_view.html import TEMPLATES as SHARED
from app.settings.schema import Settings
from app.web.auth import github_sign_in, operator_token
from app.web.auth.operator_token import TokenInAddress, move_token_to_cookie
from app.web.rendering import TEMPLATES, render
from app.web.request_body import BoundedBodies

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then hide from our own forms where they come from.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer that does not set them itself."""


class SafeHeaders:
    """Adds `SECURITY_HEADERS`; as plain ASGI, which costs a delivery nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


_COOKIES = frozenset(
    name.encode()
    for name in (
        operator_token.COOKIE,
        github_sign_in.SESSION,
        github_sign_in.STATE,
        operator_token.SETUP_COOKIE,
    )
)
LONGEST_COOKIE = 2048
"""Bytes of a cookie's value; the longest of ours holds an address of 500 characters."""


def own_cookies(header: bytes) -> bytes:
    """A `Cookie` header with nothing but what could be our own cookies, the last of each name.

    Python's reader of quoted values takes the square of their length, which is seconds for 30 KiB
    (CVE-2024-7592). None of ours needs quotes or backslashes, and other programs of the same host
    may have set any others.
    """
    kept: dict[bytes, bytes] = {}
    for pair in header.split(b";"):
        name, _, value = (part.strip() for part in pair.partition(b"="))
        if name in _COOKIES and len(value) <= LONGEST_COOKIE and not {*b'"\\'} & {*value}:
            kept[name] = value
    return b"; ".join(name + b"=" + value for name, value in kept.items())


class OwnCookies:
    """Passes requests on with `own_cookies` alone; as plain ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] == "http":
            headers = scope["headers"]
            cookies = [value for name, value in headers if name == b"cookie"]
            if cookies:
                others = [(name, value) for name, value in headers if name != b"cookie"]
                own = own_cookies(b";".join(cookies))
                scope = {**scope, "headers": [*others, (b"cookie", own)]}
        await self._app(scope, receive, send)


def install_middleware(
    app: FastAPI, settings: Settings, body_limits: Mapping[str, int] = MappingProxyType({})
) -> None:
    """Add them to an application. `body_limits`: bytes of bodies, by path, that are no forms."""

    app.add_middleware(BoundedBodies, limits=dict(body_limits))
    app.add_middleware(OwnCookies)
    app.add_middleware(SafeHeaders)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return JSONResponse({"error": error.detail}, error.status_code, error.headers)
        text = render("message.html", heading=f"Error {error.status_code}", text=error.detail)
        return HTMLResponse(text, error.status_code, error.headers)

    @app.exception_handler(TokenInAddress)
    async def token_in_address(request: Request, _error: TokenInAddress) -> Response:
        return move_token_to_cookie(settings, request)

    @app.get("/assets/style.css")
    def style() -> Response:
        return Response((SHARED / "style.css").read_bytes(), media_type="text/css")

    @app.get("/favicon.ico")  # asked for by browsers on what is no page of ours: a log as text
    @app.get("/assets/icon.svg")
    def icon() -> Response:
        return Response((TEMPLATES / "icon.svg").read_bytes(), media_type="image/svg+xml")

    @app.get("/assets/dashboard.js")
    def script() -> Response:
        return Response((TEMPLATES / "dashboard.js").read_bytes(), media_type="text/javascript")
