"""Sign-in with GitHub (the App's OAuth web flow) and with the operator's token.

GitHub's token is used once, to ask who signed in, and then forgotten. What stays is a cookie with
the account and its end, signed with a key made from the client secret: any process of the
installation can read it, and a new client secret ends all sessions. Signing out ends one for good.
Source of facts: GitHub's "Generating a user access token for a GitHub App".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

import httpx
import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Query as QueryParameter
from fastapi.responses import HTMLResponse, RedirectResponse

from app.github.transport import version_header
from app.settings.schema import Settings
from app.web.auth import operator_token
from app.web.auth.ended_sessions import end_session
from app.web.auth.question_budget import ExchangeBudget
from app.web.rendering import render as page
from app.web.request_body import form_fields

SESSION = "patchwright_session"
STATE = "patchwright_sign_in"
SESSION_S = 12 * 3600
STATE_S = 600
_LOGIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,98})")
_PATH = re.compile(r"/(?!/)[A-Za-z0-9/_?=&%.,#@+-]{0,500}")


def sign_in_configured(settings: Settings) -> bool:
    """Whether people can sign in with GitHub."""
    return bool(settings.github_client_id and settings.secret("github_client_secret"))


def sign(key: str, text: str) -> str:
    """Proof that this text was written by somebody who has the key."""
    return hmac.new(key.encode(), b"patchwright " + text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Account:
    """Who signed in at GitHub."""

    login: str
    """Empty: nobody."""
    id: int = 0
    """GitHub's, which stays when the login changes; 0: not known."""


NOBODY = Account("")


def session_cookie(settings: Settings, account: Account, now: float) -> str:
    """What the cookie of somebody who signed in holds."""
    text = f"{account.login}|{int(now) + SESSION_S}|{secrets.token_hex(16)}|{account.id}"
    return f"{text}|{sign(settings.secret('github_client_secret'), f'session {text}')}"


def account_of_cookie(settings: Settings, cookie: str, now: float | None = None) -> Account:
    """The account that a cookie proves."""
    text, _, proof = cookie.rpartition("|")
    # Cookies of earlier versions have no id.
    login, until, _, account_id, *_ = *text.split("|"), "", "", ""
    if not proof or not sign_in_configured(settings):
        return NOBODY
    if not operator_token.equal_in_constant_time(
        proof, sign(settings.secret("github_client_secret"), f"session {text}")
    ):
        return NOBODY
    moment = time.time() if now is None else now
    if not until.isdecimal() or int(until) <= moment:
        return NOBODY
    return Account(login, int(account_id) if account_id.isdecimal() else 0)


def local_path(path: str) -> str:
    """The path if it leads to a page of ours, else the list of runs."""
    return path if _PATH.fullmatch(path) else "/runs"


def _packed(path: str) -> str:
    """A path as letters that a cookie takes without quotes."""
    return base64.urlsafe_b64encode(path.encode()).decode().rstrip("=")


def _unpacked(text: str) -> str:
    """What `_packed` took; empty for anything else."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return ""


def _sessions(settings: Settings, request: Request) -> Iterator[tuple[str, str]]:
    """The request's cookies that prove something, each with whose it is."""
    cookie = request.cookies.get(SESSION, "")
    if login := account_of_cookie(settings, cookie).login:
        yield login, cookie
    cookie = request.cookies.get(operator_token.COOKIE, "")
    token = settings.secret("operator_token")
    if token and operator_token.proves_token(cookie, token, time.time()):
        yield "operator", cookie


def sign_in_pages(settings: Settings, database: sa.Engine) -> APIRouter:
    """The pages of sign-in; they are open to everybody."""
    router = APIRouter()
    secure = settings.base_url.startswith("https://")
    exchanges = ExchangeBudget()

    @router.get("/sign-in", response_class=HTMLResponse)
    def ask(
        to: Annotated[str, QueryParameter(alias="next", max_length=600)] = "/runs",
    ) -> HTMLResponse:
        return HTMLResponse(
            page(
                "sign_in.html",
                to=local_path(to),
                github=sign_in_configured(settings),
                token=bool(settings.secret("operator_token")),
                wrong=False,
            )
        )

    @router.post("/sign-in")
    async def with_token(request: Request) -> Response:
        fields = await form_fields(request)
        to = local_path(fields.get("next", "/runs"))
        token = settings.secret("operator_token")
        if not token or not operator_token.equal_in_constant_time(
            fields.get("token", "").strip(), token
        ):
            text = page(
                "sign_in.html",
                to=to,
                github=sign_in_configured(settings),
                token=bool(token),
                wrong=True,
            )
            return HTMLResponse(text, 401)
        response = RedirectResponse(to, 303)
        operator_token.set_session_cookie(settings, response)
        return response

    @router.get("/sign-in/github")
    def to_github(
        to: Annotated[str, QueryParameter(alias="next", max_length=600)] = "/runs",
    ) -> Response:
        if not sign_in_configured(settings):
            raise HTTPException(404, "Sign-in with GitHub is not set up.")
        state = secrets.token_urlsafe(24)
        query = urlencode(
            {
                "client_id": settings.github_client_id,
                "redirect_uri": f"{settings.base_url}/sign-in/done",
                "state": state,
            }
        )
        response = RedirectResponse(
            f"{settings.github_web_url}/login/oauth/authorize?{query}", status_code=303
        )
        response.set_cookie(
            STATE,
            f"{state}|{_packed(local_path(to))}",
            httponly=True,
            secure=secure,
            samesite="lax",
            max_age=STATE_S,
            path="/sign-in",
        )
        return response

    @router.get("/sign-in/done")
    async def back(
        request: Request,
        code: Annotated[str, QueryParameter(max_length=200)] = "",
        state: Annotated[str, QueryParameter(max_length=200)] = "",
    ) -> Response:
        expected, _, to = request.cookies.get(STATE, "").partition("|")
        if (
            not sign_in_configured(settings)
            or not expected
            or not operator_token.equal_in_constant_time(state, expected)
        ):
            raise HTTPException(400, "This sign-in was not started in this browser. Start again.")
        if not code:
            raise HTTPException(403, "GitHub did not confirm the sign-in.")
        with exchanges.one():
            account = await fetch_github_account(settings, code)
        response = RedirectResponse(local_path(_unpacked(to)), status_code=303)
        response.delete_cookie(STATE, path="/sign-in")
        response.set_cookie(
            SESSION,
            session_cookie(settings, account, time.time()),
            httponly=True,
            secure=secure,
            samesite="lax",
            max_age=SESSION_S,
        )
        return response

    @router.post("/sign-out")
    def sign_out(request: Request) -> Response:
        operator_token.check_own_site(request)
        for who, cookie in _sessions(settings, request):
            end_session(database, who, cookie)
        response = RedirectResponse("/sign-in", status_code=303)
        response.delete_cookie(SESSION)
        response.delete_cookie(operator_token.COOKIE)
        return response

    return router


async def fetch_github_account(settings: Settings, code: str) -> Account:
    """The account that GitHub vouches for. Raises `HTTPException` 403 or 502."""
    verify = str(settings.github_ca_file) if settings.github_ca_file else True
    try:
        async with httpx.AsyncClient(timeout=20, verify=verify) as client:
            answer = await client.post(
                f"{settings.github_web_url}/login/oauth/access_token",
                headers={"Accept": "application/json"},
                data={
                    "client_id": settings.github_client_id,
                    "client_secret": settings.secret("github_client_secret"),
                    "code": code,
                    "redirect_uri": f"{settings.base_url}/sign-in/done",
                },
            )
            token = answer.raise_for_status().json().get("access_token", "")
            if not token:  # GitHub answers 200 with an `error` for a code that is wrong or used
                raise HTTPException(403, "GitHub did not accept the sign-in. Start again.")
            user = await client.get(
                f"{settings.github_api_url}/user",
                headers={
                    "Authorization": f"Bearer {token}",
                    **version_header(settings.github_api_version),
                },
            )
            said = user.raise_for_status().json()
            login, account_id = str(said.get("login", "")), said.get("id", 0)
    except (httpx.HTTPError, ValueError, AttributeError):
        raise HTTPException(502, "GitHub could not tell who you are. Try again.") from None
    if not _LOGIN.fullmatch(login):
        raise HTTPException(502, "GitHub did not say who you are.")
    return Account(login, account_id if isinstance(account_id, int) else 0)
