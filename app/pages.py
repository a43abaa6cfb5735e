"""The pages and their JSON: the runs, and each run's journal.

Annotations are kept as objects here: FastAPI has to see the dependencies that are made inside
`pages`.
"""

from pathlib import Path
from typing import Annotated, Any, get_args
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from agent.events import Outcome
from app import access
from app.journal_view import present
from app.records import Run, RunFilter, Status, UnknownRun
from app.settings import Settings
from app.store import SqlStore

TEMPLATES = Path(__file__).parent / "templates"
EVENTS_PER_PAGE = 200


class TokenShown(Exception):
    """The right token stood in the address: it belongs into a cookie and out of the address."""


def render(name: str, **values: Any) -> str:
    """A page from its template; everything is escaped."""
    return _JINJA.get_template(name).render(**values)


_JINJA = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)


def pages(settings: Settings, store: SqlStore) -> APIRouter:
    """The routes that show runs, for the operator alone."""

    def operator(request: Request) -> None:
        token = settings.secret("operator_token")
        if not token:
            client = request.client.host if request.client else ""
            if not access.is_local(client, request.headers):
                raise HTTPException(
                    403,
                    "The pages are served to this machine only, because no operator token is set. "
                    "Set PATCHWRIGHT_OPERATOR_TOKEN to open them to others.",
                )
            return
        if access.same(request.query_params.get("token", ""), token):
            raise TokenShown
        authorization = request.headers.get("authorization", "")
        cookie = request.cookies.get(access.COOKIE, "")
        if not access.shown(token, authorization=authorization, cookie=cookie):
            raise HTTPException(
                401,
                "This page needs the operator's token: as a bearer token, or once in the address "
                "as ?token=….",
                {"WWW-Authenticate": "Bearer"},
            )

    router = APIRouter(dependencies=[Depends(operator)])

    def find(run_id: str) -> Run:
        try:
            return store.get_run(run_id)
        except UnknownRun:
            raise HTTPException(404, "There is no such run.") from None

    @router.get("/runs", response_class=HTMLResponse)
    def list_runs(
        repository: Annotated[str, Query(max_length=201)] = "",
        status: Annotated[str, Query(max_length=16)] = "",
        outcome: Annotated[str, Query(max_length=16)] = "",
        cursor: Annotated[str, Query(max_length=64)] = "",
    ) -> HTMLResponse:
        filters = _filters(repository, status, outcome)
        page = store.list_runs(filters, cursor)
        kept = {name: value for name, value in filters.model_dump().items() if value}
        older = "/runs?" + urlencode({**kept, "cursor": page.next})
        return HTMLResponse(
            render("runs.html", page=page, older=older, filtered=bool(kept), label=settings.label)
        )

    @router.get("/runs/{run_id}", response_class=HTMLResponse)
    def show_run(
        run: Annotated[Run, Depends(find)], first: Annotated[int, Query(ge=0, lt=2**53)] = 0
    ) -> HTMLResponse:
        events = store.events(run.id, after=first - 1, limit=EVENTS_PER_PAGE)
        end = first + len(events)
        return HTMLResponse(
            render(
                "run.html",
                run=run,
                events=[present(recorded) for recorded in events],
                earlier=max(first - EVENTS_PER_PAGE, 0) if first else None,
                later=end if end < run.events else None,
                live=run.status != "done" and end >= run.events,
                issue_url=f"{settings.github_web_url}/{run.repository}/issues/{run.issue_number}",
            )
        )

    @router.get("/runs/{run_id}/events")
    def run_events(
        run: Annotated[Run, Depends(find)],
        after: Annotated[int, Query(ge=-1, lt=2**53)] = -1,
        limit: Annotated[int, Query(ge=1, le=1000)] = EVENTS_PER_PAGE,
    ) -> JSONResponse:
        events = store.events(run.id, after=after, limit=limit)
        return JSONResponse(
            {
                "run": run.id,
                "status": run.status,
                "outcome": run.outcome,
                "events": [recorded.model_dump(mode="json") for recorded in events],
                "after": events[-1].seq if events else after,
            }
        )

    return router


def move_token_to_cookie(settings: Settings, request: Request) -> Response:
    """Answer the right token in the address: a cookie, and the same address without the token."""
    query = [(k, v) for k, v in request.query_params.multi_items() if k != "token"]
    # Only the path: the answer must never lead to another host.
    target = "/" + request.url.path.lstrip("/") + (f"?{urlencode(query)}" if query else "")
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(
        access.COOKIE,
        access.cookie_value(settings.secret("operator_token")),
        httponly=True,
        secure=settings.base_url.startswith("https://"),
        samesite="lax",
        max_age=30 * 24 * 3600,
    )
    return response


def _filters(repository: str, status: str, outcome: str) -> RunFilter:
    """Filters from an address; words that name no state filter nothing."""
    return RunFilter.model_validate(
        {
            "repository": repository,
            "status": status if status in get_args(Status) else "",
            "outcome": outcome if outcome in get_args(Outcome) else "",
        }
    )
