"""Proof of being the operator: the token, as a bearer token, once in the address, or by the cookie.

The pages show private code. Where no token is set nobody is the operator; see `app.settings.access`
for the one that a service on its own machine makes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from fastapi import HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from app.settings.schema import Settings

COOKIE = "patchwright_operator"


def cookie_value(token: str) -> str:
    """What the cookie holds: proof of the token, not the token."""
    return hmac.new(token.encode(), b"patchwright operator cookie", hashlib.sha256).hexdigest()


def equal_in_constant_time(left: str, right: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def matches(token: str, *, authorization: str, cookie: str) -> bool:
    """Whether a request shows the operator's token."""
    scheme, _, value = authorization.partition(" ")
    if scheme.casefold() == "bearer" and equal_in_constant_time(value.strip(), token):
        return True
    return equal_in_constant_time(cookie, cookie_value(token))


def shows_token(request: Request, token: str) -> bool:
    """Whether a request shows the operator's token; false where none is set.

    Raises `TokenInAddress` for the right one in the address.
    """
    if not token:
        return False
    if equal_in_constant_time(request.query_params.get("token", ""), token):
        raise TokenInAddress
    authorization = request.headers.get("authorization", "")
    return matches(token, authorization=authorization, cookie=request.cookies.get(COOKIE, ""))


def token_required() -> HTTPException:
    """The 401 answer to a request without the token."""
    return HTTPException(
        401,
        "This page needs the operator token, as a bearer token or once in the URL as ?token=….",
        {"WWW-Authenticate": "Bearer"},
    )


def scrape_token_required() -> HTTPException:
    """The answer to who asks for /metrics without a token for it: 401."""
    return HTTPException(
        401,
        "/metrics needs the token of PATCHWRIGHT_METRICS_TOKEN_FILE, or the operator's, as a "
        "bearer token.",
        {"WWW-Authenticate": "Bearer"},
    )


def may_scrape(settings: Settings, headers: Mapping[str, str]) -> bool:
    """Whether a request for /metrics shows the token for it, or the operator's."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer":
        return False
    tokens = (settings.secret("metrics_token"), settings.secret("operator_token"))
    return any(bool(token) and equal_in_constant_time(value.strip(), token) for token in tokens)


def move_token_to_cookie(settings: Settings, request: Request) -> Response:
    """Answer a request with the right token in its URL: set a cookie, remove the token."""
    query = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
    # Only the path: the answer must never lead to another host.
    target = "/" + request.url.path.lstrip("/") + (f"?{urlencode(query)}" if query else "")
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(
        COOKIE,
        cookie_value(settings.secret("operator_token")),
        httponly=True,
        secure=settings.base_url.startswith("https://"),
        samesite="lax",
        max_age=30 * 24 * 3600,
    )
    return response


class TokenInAddress(Exception):
    """The right token was in the URL: it belongs in a cookie, not in the URL."""


def check_own_site(request: Request) -> None:
    """Raise 403 for what another site makes a browser send."""
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if foreign or site not in ("same-origin", "none"):
        raise HTTPException(403, "This form was sent from another site.")
