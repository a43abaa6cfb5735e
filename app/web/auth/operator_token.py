"""Proof of being the operator: the token, as a bearer token, once in the address, or by the cookie.

The pages show private code. Where no token is set nobody is the operator; see `app.settings.access`
for the one that a service on its own machine makes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from fastapi import HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from app.settings.schema import Settings
from app.web.auth.ended_sessions import LONGEST_S, IsEnded

COOKIE = "patchwright_operator"
SETUP_COOKIE = "patchwright_setup"
"""Ties the way back from GitHub's form to the browser of the operator who set out."""


def session_cookie(token: str, now: float) -> str:
    """What the cookie holds: when it ends, a number that no other has, and proof of the token."""
    text = f"{int(now) + LONGEST_S}|{secrets.token_hex(16)}"
    return f"{text}|{_proof(token, text)}"


def proves_token(cookie: str, token: str, now: float) -> bool:
    """Whether a cookie proves the token and its time is not over."""
    text, _, proof = cookie.rpartition("|")
    if not equal_in_constant_time(proof, _proof(token, text)):
        return False
    until = text.partition("|")[0]
    return until.isdecimal() and int(until) > now


def _proof(token: str, text: str) -> str:
    return hmac.new(
        token.encode(), b"patchwright operator cookie " + text.encode(), hashlib.sha256
    ).hexdigest()


def equal_in_constant_time(left: str, right: str) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def shows_token(request: Request, token: str, is_ended: IsEnded) -> bool:
    """Whether a request shows the operator's token; false where none is set.

    Raises `TokenInAddress` for the right one in the address.
    """
    if not token:
        return False
    if equal_in_constant_time(request.query_params.get("token", ""), token):
        raise TokenInAddress
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.casefold() == "bearer" and equal_in_constant_time(value.strip(), token):
        return True
    cookie = request.cookies.get(COOKIE, "")
    return proves_token(cookie, token, time.time()) and not is_ended(cookie)


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
    set_session_cookie(settings, response)
    return response


def set_session_cookie(settings: Settings, response: Response) -> None:
    """Begin a session of the operator, who showed the token."""
    response.set_cookie(
        COOKIE,
        session_cookie(settings.secret("operator_token"), time.time()),
        httponly=True,
        secure=settings.base_url.startswith("https://"),
        samesite="lax",
        max_age=LONGEST_S,
    )


class TokenInAddress(Exception):
    """The right token was in the URL: it belongs in a cookie, not in the URL."""


def check_own_site(request: Request) -> None:
    """Raise 403 for what another site makes a browser send."""
    origin = request.headers.get("origin")
    foreign = origin is not None and (
        not (host := _host_of(origin)) or host != request.headers.get("host", "")
    )
    site = request.headers.get("sec-fetch-site", "same-origin")
    if foreign or site not in ("same-origin", "none"):
        raise HTTPException(403, "This form was sent from another site.")


def _host_of(origin: str) -> str:
    """Host and port of an `Origin` header; empty for one that is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
