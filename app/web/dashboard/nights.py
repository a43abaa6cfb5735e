"""Nights: when repositories' backlogs were looked at, and what was found of each issue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from app.nightly.times import is_late
from app.publishing.nights import HEADINGS, by_finding
from app.repo_config.schema import Schedule
from app.storage.nights.records import Night, NightState, UnknownNight
from app.storage.nights.store import Nights
from app.web.auth.visitors import Place, ReadableRuns
from app.web.dashboard.context import Context, Guest
from app.web.rendering import render

router = APIRouter()

LISTED = 100
"""Of one look. GitHub is asked about each repository whether a visitor may see it."""
_STATES: dict[NightState, str] = {
    "begun": "begins",
    "working": "at work",
    "over": "report is being written",
    "reported": "over",
    "failed": "not held",
}


def shown(found: list[Night], readable: ReadableRuns | None) -> list[Night]:
    """Those that a visitor may see; None: all.

    Only of repositories that they may read whole: what was found may be of a private time.
    """
    if readable is None:
        return found
    return [one for one in found if one.repository_id in readable.whole]


def _place(night: Night) -> Place:
    return Place(
        night.installation_id, night.repository, night.repository_id, has_private_runs=True
    )


@router.get("/nights", response_class=HTMLResponse)
async def list_nights(
    dashboard: Context,
    visitor: Guest,
    search: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """The nights, the latest first; `search` is a part of a repository's name."""
    known, wanted = Nights(dashboard.store.database), search.strip()
    found = await run_in_threadpool(lambda: known.newest(wanted, limit=LISTED + 1))
    listed = found[:LISTED]
    readable = await dashboard.access.readable(visitor, {_place(one) for one in listed})
    counts = await run_in_threadpool(known.counts, [one.id for one in listed])
    return HTMLResponse(
        render(
            "nights.html",
            visitor=visitor,
            found=shown(listed, readable),
            counts=counts,
            headings=HEADINGS,
            is_cut=len(found) > LISTED,
            most=LISTED,
            search=wanted,
            states=_STATES,
            is_on=dashboard.settings.nightly_issues > 0,
        )
    )


@router.get("/nights/{night_id}", response_class=HTMLResponse)
async def show_night(dashboard: Context, visitor: Guest, night_id: str) -> HTMLResponse:
    """One night: what was found, with the evidence, and what was not looked at. 404 to others."""
    known = Nights(dashboard.store.database)
    try:
        night = await run_in_threadpool(known.get, night_id)
    except UnknownNight:
        raise HTTPException(404, "There is no such night.") from None
    if not shown([night], await dashboard.access.readable(visitor, [_place(night)])):
        raise HTTPException(404, "There is no such night.")
    found = await run_in_threadpool(known.triages_of, night.id)
    return HTMLResponse(
        render(
            "night.html",
            visitor=visitor,
            night=night,
            schedule=Schedule.model_validate_json(night.schedule),
            groups=[(HEADINGS[name], name, those) for name, those in by_finding(found)],
            found=found,
            tokens=sum(each.tokens for each in found),
            minutes=round(sum(each.seconds for each in found) / 60),
            late=is_late(night.due_at, night.begun_at),
            state=_STATES[night.state],
            issues_url=f"{dashboard.settings.github_web_url.rstrip('/')}/{night.repository}/issues",
        )
    )
