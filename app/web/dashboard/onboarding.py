"""Onboarding: the repositories that the App was installed on, and what became of each proposal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from app.storage.onboarding import Onboarding, Onboardings, OnboardingState
from app.web.auth.visitors import Place, ReadableRuns
from app.web.dashboard.context import Context, Guest
from app.web.rendering import render

router = APIRouter()

LISTED = 100
"""Of one look. GitHub is asked about each whether a visitor may see it."""
_STATES: dict[OnboardingState, str] = {
    "waiting": "waits for its turn",
    "working": "being checked",
    "proposed": "pull request is open",
    "enabled": "enabled",
    "closed": "declined",
    "skipped": "not proposed",
}


def shown(found: Sequence[Onboarding], readable: ReadableRuns | None) -> list[Onboarding]:
    """Those that a visitor may see; None: all.

    A reason may be of a time when the repository was private, and quote what was found in it.
    """
    if readable is None:
        return list(found)
    return [
        one if one.repository_id in readable.whole else one.model_copy(update={"reason": ""})
        for one in found
        if one.repository_id in readable.whole | readable.without_private
    ]


@router.get("/onboarding", response_class=HTMLResponse)
async def list_onboarding(
    dashboard: Context,
    visitor: Guest,
    search: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """The repositories, the latest installed first; `search` is a part of their names."""
    settings = dashboard.settings
    known = Onboardings(dashboard.store.database, settings.onboarding_at_once)
    name = search.strip()
    found = await run_in_threadpool(known.newest, name, limit=LISTED + 1)
    listed = found[:LISTED]
    places = [
        Place(one.installation_id, one.repository, one.repository_id, has_private_runs=True)
        for one in listed
    ]
    readable = await dashboard.access.readable(visitor, places)
    return HTMLResponse(
        render(
            "onboarding.html",
            visitor=visitor,
            found=shown(listed, readable),
            is_cut=len(found) > LISTED,
            most=LISTED,
            search=name,
            states=_STATES,
            web=settings.github_web_url.rstrip("/"),
            is_on=settings.onboarding,
        )
    )
