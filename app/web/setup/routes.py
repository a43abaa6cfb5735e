"""The pages of set-up: a form, GitHub's own form, and the way back with the code.

Without JavaScript. The `state` ties the way back to the browser that set out: it is in a cookie
and in the memory of this process, and counts once.
"""

import secrets
import time
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, BackgroundTasks, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from app.github.webhooks import EVENTS
from app.settings.credentials import AppIdentity
from app.settings.schema import Settings
from app.telemetry import logs
from app.web.auth import operator_token
from app.web.auth.ended_sessions import IsEnded
from app.web.rendering import render
from app.web.setup.manifest import (
    PERMISSION_REASONS,
    AppChoices,
    SetupError,
    check_choices,
    exchange,
    form_address,
    manifest,
)

STATE_LIVES_S = 3600.0
"""As long as GitHub's code."""
MOST_STATES = 100

_log = logs.get(__name__)


class States:
    """The states that are out, each good once and for an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        """A new state; the oldest is forgotten when there are too many."""
        self._forget()
        while len(self._until) >= MOST_STATES:
            del self._until[next(iter(self._until))]
        state = secrets.token_urlsafe(32)
        self._until[state] = self._clock() + STATE_LIVES_S
        return state

    def take(self, state: str, cookie: str) -> bool:
        """Whether this state is out and this browser's; it is not any more afterwards."""
        self._forget()
        if not state or not operator_token.equal_in_constant_time(state, cookie):
            return False
        return self._until.pop(state, None) is not None

    def _forget(self) -> None:
        now = self._clock()
        self._until = {state: until for state, until in self._until.items() if until > now}


def setup_pages(
    settings: Settings,
    *,
    configured: Callable[[], bool],
    on_done: Callable[[AppIdentity], None] = lambda _app: None,
    is_ended: IsEnded = lambda _cookie: False,
) -> APIRouter:
    """The routes under `/setup`. `on_done` is called after the last page was sent."""
    router = APIRouter(prefix="/setup")
    states = States()

    def check_operator(request: Request) -> None:
        """Only the operator sets up an App. Raises `HTTPException` 401, or `TokenInAddress`."""
        if not operator_token.shows_token(request, settings.secret("operator_token"), is_ended):
            raise operator_token.token_required()

    def form(choices: AppChoices, wrong: tuple[str, ...] = ()) -> HTMLResponse:
        page = render(
            "setup.html",
            choices=choices,
            wrong=wrong,
            github=settings.github_web_url,
            permissions=PERMISSION_REASONS,
            events=EVENTS,
            again=configured(),
        )
        return HTMLResponse(page, 422 if wrong else 200)

    @router.get("", response_class=HTMLResponse)
    def start(request: Request) -> HTMLResponse:
        check_operator(request)
        return form(
            AppChoices("Patchwright", "", settings.public_url or _origin(settings, request))
        )

    @router.get("/review", response_class=HTMLResponse)
    def review(
        request: Request,
        name: Annotated[str, Query(max_length=200)] = "",
        organisation: Annotated[str, Query(max_length=200)] = "",
        public_url: Annotated[str, Query(max_length=500)] = "",
    ) -> HTMLResponse:
        check_operator(request)
        choices = AppChoices(name.strip(), organisation.strip(), public_url.strip().rstrip("/"))
        if wrong := check_choices(choices, settings.github_web_url):
            return form(choices, wrong)
        state = states.issue()
        target = form_address(settings.github_web_url, choices.organisation, state)
        page = render(
            "setup_review.html",
            choices=choices,
            target=target,
            manifest=manifest(choices, f"{_origin(settings, request)}/setup/callback"),
            permissions=PERMISSION_REASONS,
            events=EVENTS,
        )
        response = HTMLResponse(page)
        github = urlsplit(settings.github_web_url)
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
            f"form-action 'self' {github.scheme}://{github.netloc}; frame-ancestors 'none'"
        )
        # Lax: GitHub sends the browser back by a link, which must carry it.
        response.set_cookie(
            operator_token.SETUP_COOKIE,
            state,
            httponly=True,
            secure=_origin(settings, request).startswith("https://"),
            samesite="lax",
            max_age=int(STATE_LIVES_S),
            path="/setup",
        )
        return response

    @router.get("/callback", response_class=HTMLResponse)
    async def callback(
        request: Request,
        tasks: BackgroundTasks,
        code: Annotated[str, Query(max_length=300)] = "",
        state: Annotated[str, Query(max_length=300)] = "",
    ) -> HTMLResponse:
        check_operator(request)
        if not states.take(state, request.cookies.get(operator_token.SETUP_COOKIE, "")):
            raise HTTPException(
                403,
                "This set-up was not started in this browser within the last hour. "
                "Start at /setup.",
            )
        again = configured()
        try:
            app = await exchange(settings, code)
        except SetupError as error:
            _log.warning("the App was not set up", why=str(error))
            raise HTTPException(502, str(error)) from None
        _log.info("the App is set up", app=app.id, slug=app.slug)
        tasks.add_task(on_done, app)
        response = HTMLResponse(render("setup_done.html", app=app, again=again))
        response.delete_cookie(operator_token.SETUP_COOKIE, path="/setup")
        return response

    return router


def _origin(settings: Settings, request: Request) -> str:
    """The address under which this browser sees the service."""
    host = request.headers.get("host", "")
    if urlsplit(settings.base_url).netloc == host:
        return settings.base_url
    return f"{request.url.scheme}://{host}"
