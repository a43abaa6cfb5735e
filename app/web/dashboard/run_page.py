"""One run: its page, its events as JSON, and its logs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse

from agent.models.request_body import media_type
from agent.task import IMAGE
from app.attachments.images import is_safe
from app.expiry.kept import Expiries
from app.journal_view.entries import present_all
from app.outcomes.rows import Outcomes
from app.publishing.publication import PATCH_LOG
from app.sanitize.html import SHOWN
from app.spending.account import run_budget
from app.storage import organisations
from app.storage.questions import Questions
from app.web.dashboard.context import EVENTS_PER_PAGE, Context, Guest, ReadableRun
from app.web.dashboard.summaries import snapshot_names, summary_values
from app.web.rendering import render

router = APIRouter()


@router.get("/runs/{run_id}", response_class=HTMLResponse)
async def show_run(
    dashboard: Context,
    visitor: Guest,
    run: ReadableRun,
    first: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
) -> HTMLResponse:
    """A window of the run's journal; without `first`, the newest events."""
    start = max(run.events - EVENTS_PER_PAGE, 0) if first is None else first
    events = await run_in_threadpool(dashboard.journals.events, run.id, start - 1, EVENTS_PER_PAGE)
    end = start + len(events)
    head = await run_in_threadpool(dashboard.heads.of, run.id)
    budget = await run_in_threadpool(run_budget, dashboard.store.database, dashboard.settings, run)
    values = summary_values(dashboard.settings, run, head, budget)
    values |= {
        "visitor": visitor,
        "became": await run_in_threadpool(Outcomes(dashboard.store.database).get, run.id),
        "unpublished": head.kept_change if run.pull_request else run.outcome in ("proven", "draft"),
        "may_open": run.visibility == "asked" and await dashboard.access.may_open(visitor, run),
        "may_steer": await dashboard.access.may_steer(visitor, run),
        "question": await run_in_threadpool(Questions(dashboard.store.database).of_run, run.id),
        "expiry": await run_in_threadpool(Expiries(dashboard.store.database).get, run.id),
        "off": await run_in_threadpool(
            organisations.off_reason, dashboard.store.database, run.repository
        ),
        "app_name": dashboard.settings.github_app_slug,
        "events": present_all(events),
        "shown": SHOWN,
        "first": start,
        "end": end,
        "earlier": max(start - EVENTS_PER_PAGE, 0) if start else None,
        "later": end if end < run.events else None,
        "live": run.status != "done" and end >= run.events,
        "snapshots": list(head.snapshots.values()),
        "names": snapshot_names(head),
    }
    return HTMLResponse(await run_in_threadpool(lambda: render("run.html", **values)))


@router.get("/runs/{run_id}/events")
def run_events(
    dashboard: Context,
    run: ReadableRun,
    after: Annotated[int, Query(ge=-1, lt=2**53)] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = EVENTS_PER_PAGE,
) -> JSONResponse:
    """The run's events after a sequence number, and its state."""
    events = dashboard.journals.events(run.id, after=after, limit=limit)
    return JSONResponse(
        {
            "run": run.id,
            "status": run.status,
            "outcome": run.outcome,
            "events": [recorded.model_dump(mode="json") for recorded in events],
            "after": events[-1].seq if events else after,
        }
    )


@router.get("/runs/{run_id}/logs/{log_id:path}")
def run_log(dashboard: Context, run: ReadableRun, log_id: str) -> Response:
    """A kept log, whole."""
    data = dashboard.journals.log(run.id, log_id)
    if data is None:
        raise HTTPException(404, "There is no such log.")
    # Under the name that the comment about it says how to apply.
    name = (
        {"Content-Disposition": 'attachment; filename="fix.patch"'} if log_id == PATCH_LOG else {}
    )
    return Response(data, media_type="text/plain; charset=utf-8", headers=name)


@router.get("/runs/{run_id}/images/{number}")
def run_image(
    dashboard: Context, run: ReadableRun, number: Annotated[int, Path(ge=1, lt=1000)]
) -> Response:
    """An image that came with the issue, as our own encoder wrote it."""
    data = dashboard.journals.log(run.id, f"{IMAGE}{number}")
    if data is None or not is_safe(data):
        raise HTTPException(404, "There is no such image.")
    kind = media_type(data)
    name = f"image-{number}.{kind.partition('/')[2]}"
    return Response(
        data,
        media_type=kind,
        headers={
            "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Content-Disposition": f'inline; filename="{name}"',
        },
    )
