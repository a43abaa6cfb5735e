"""Alerts: what came from monitoring services, and which issue each has."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from app.storage.alerts import Alerts, AlertState, KeptAlert
from app.web.auth.visitors import Place, ReadableRuns
from app.web.dashboard.context import Context, Guest
from app.web.rendering import render

router = APIRouter()

LISTED = 100
"""Of one look. GitHub is asked about each repository whether a visitor may see it."""
_STATES: dict[AlertState, str] = {
    "waiting": "issue is being opened",
    "open": "issue is open",
    "limited": "no issue today",
    "refused": "no issue",
    "unrouted": "belongs to no repository",
    "resolved": "over, says its source",
    "fixed": "fix is merged",
    "gone": "fixed and over",
}


def shown(found: list[KeptAlert], readable: ReadableRuns | None) -> list[KeptAlert]:
    """Those that a visitor may see; None: all.

    Only of repositories that they may read whole: an error's words may be of a private time. What
    belongs to no repository is for operators.
    """
    if readable is None:
        return found
    return [one for one in found if one.repository_id and one.repository_id in readable.whole]


@router.get("/alerts", response_class=HTMLResponse)
async def list_alerts(
    dashboard: Context,
    visitor: Guest,
    search: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """The alerts, the latest first; `search` is a part of a title or a repository's name."""
    settings = dashboard.settings
    known, wanted = Alerts(dashboard.store.database), search.strip()
    found = await run_in_threadpool(lambda: known.newest(wanted, limit=LISTED + 1))
    listed = found[:LISTED]
    places = {
        one.repository_id: Place(
            one.installation_id, one.repository, one.repository_id, has_private_runs=True
        )
        for one in listed
        if one.repository_id
    }
    readable = await dashboard.access.readable(visitor, places.values())
    return HTMLResponse(
        render(
            "alerts.html",
            visitor=visitor,
            found=shown(listed, readable),
            is_cut=len(found) > LISTED,
            most=LISTED,
            search=wanted,
            states=_STATES,
            web=settings.github_web_url.rstrip("/"),
            is_on=settings.alerts_file is not None,
        )
    )
