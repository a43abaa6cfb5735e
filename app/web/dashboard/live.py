"""A run live: its new events and its head as server-sent events, made of the page's own pieces.

The database is asked once a second, because another process may be the one that works on the run.
A stream ends after some minutes: the browser comes back by itself and shows again who it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from app.journal_view.entries import present_all
from app.sanitize.html import SHOWN
from app.spending.account import run_budget
from app.storage.records import Run
from app.storage.store import SqlStore
from app.web.dashboard.context import Context, Guest, ReadableRun, Streams
from app.web.dashboard.summaries import summary_values
from app.web.rendering import render

router = APIRouter()

EVERY_S = 1.0
LONGEST_S = 300.0
AT_ONCE = 50
"""Events of one message."""


def message(event: str, data: str, seq: int | None = None) -> str:
    """One server-sent event; carriage returns would end a line of it too."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = f"event: {event}\n" + (f"id: {seq}\n" if seq is not None else "")
    return head + "".join(f"data: {line}\n" for line in lines) + "\n"


async def stream(
    store: SqlStore, run_id: str, after: int, head: Callable[[Run], str]
) -> AsyncIterator[str]:
    """The events after `after`; then whatever comes, until the run is over."""
    end = time.monotonic() + LONGEST_S
    shown = ""
    yield "retry: 2000\n\n"
    while time.monotonic() < end:
        # The run first: what it had written when it was over is among the events then.
        run = await run_in_threadpool(store.get_run, run_id)
        new = await run_in_threadpool(store.events, run_id, after, AT_ONCE)
        if new:
            after = new[-1].seq
            text = render("entries.html", run_id=run_id, events=present_all(new), shown=SHOWN)
            yield message("entries", text, after)
        summary = await run_in_threadpool(head, run)
        if summary != shown:
            shown = summary
            yield message("head", summary)
        if run.status == "done" and not new:
            yield message("over", run.outcome)
            return
        if not new:
            yield ": still here\n\n"
            await asyncio.sleep(EVERY_S)


async def counted(events: AsyncIterator[str], streams: Streams, visitor: str) -> AsyncIterator[str]:
    """A stream that counts as its visitor's as long as it lasts; none when there are too many."""
    # Asked again: others may have been opened since the first answer.
    if not streams.may_open(visitor):
        return
    with streams.open(visitor):
        async for event in events:
            yield event


@router.get("/runs/{run_id}/stream")
async def run_stream(
    request: Request,
    dashboard: Context,
    visitor: Guest,
    run: ReadableRun,
    after: Annotated[int, Query(ge=-1, lt=2**53)] = -1,
) -> Response:
    """The run's events after a sequence number, as they come; 503 when too many watch."""
    if not dashboard.streams.may_open(visitor.login):
        raise HTTPException(503, "Too many runs are watched at once. Reload the page later.")
    last = request.headers.get("last-event-id", "")
    place = int(last) if last.isascii() and last.isdecimal() and len(last) < 16 else after

    def head_of(run: Run) -> str:
        return render(
            "head.html",
            **summary_values(
                dashboard.settings,
                run,
                dashboard.heads.of(run.id),
                run_budget(dashboard.store.database, dashboard.settings, run),
            ),
        )

    return StreamingResponse(
        counted(stream(dashboard.store, run.id, place, head_of), dashboard.streams, visitor.login),
        media_type="text/event-stream",
    )
