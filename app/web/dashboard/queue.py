"""Waiting runs, active runs, and workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from agent.journal.events import now
from app.queue import worker_registry
from app.queue.worker_registry import Worker
from app.storage import controls
from app.storage.records import RunFilter
from app.storage.tables import runs
from app.web.auth.visitors import ReadableRuns
from app.web.dashboard.context import Context, Guest
from app.web.dashboard.run_list import Readable, RunRow, read_page
from app.web.rendering import render

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Queue:
    """The state of work at a moment."""

    at: datetime
    running: tuple[tuple[RunRow, str], ...]
    """Each with its worker's name."""
    waiting: tuple[RunRow, ...]
    """Oldest first."""
    asking: tuple[RunRow, ...]
    """Those that wait for an answer, oldest first."""
    workers: tuple[Worker, ...]
    tokens_today: int

    def minutes(self, since: datetime) -> float:
        """Minutes from a moment until this one."""
        return (self.at - since).total_seconds() / 60


def read_queue(
    database: sa.Engine, readable: ReadableRuns | None = None, limit: int = 100
) -> Queue:
    """The queue now; only runs that the visitor may see. Blocks."""
    running = read_page(database, RunFilter(status="running"), readable=readable, limit=limit).runs
    waiting = read_page(database, RunFilter(status="queued"), readable=readable, limit=limit).runs
    asking = read_page(database, RunFilter(status="waiting"), readable=readable, limit=limit).runs
    ids = [row.id for row in running]
    query = sa.select(runs.c.id, runs.c.owner).where(runs.c.id.in_(ids))
    with database.execution_options(read_only=True).connect() as connection:
        rows = connection.execute(query).all()
        owners = {row.id: str(row.owner) for row in rows}
    return Queue(
        at=now(),
        running=tuple((row, owners.get(row.id, "")) for row in running),
        waiting=tuple(reversed(waiting)),
        asking=tuple(reversed(asking)),
        workers=tuple(worker_registry.list_workers(database)),
        tokens_today=controls.used_today(database),
    )


@router.get("/queue", response_class=HTMLResponse)
def show_queue(dashboard: Context, visitor: Guest, readable: Readable) -> HTMLResponse:
    """The queue's page."""
    state = read_queue(dashboard.store.database, readable)
    if visitor.login:
        # Names of machines are nobody's but the operator's.
        unnamed = tuple((row, "") for row, _ in state.running)
        state = replace(state, running=unnamed, workers=())
    limit = dashboard.settings.tokens_per_day
    return HTMLResponse(render("queue.html", visitor=visitor, state=state, limit=limit))
