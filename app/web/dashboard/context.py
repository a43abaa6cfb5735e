"""What the dashboard's routes share, and the dependencies by which they ask for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from app.settings.schema import Settings
from app.storage.archive import Journals
from app.storage.records import Run, UnknownRun
from app.storage.store import SqlStore
from app.web.auth.ended_sessions import ended_in
from app.web.auth.question_budget import QuestionBudget
from app.web.auth.visitors import AccessControl, RoleSource, Visitor
from app.web.dashboard.efforts import Efforts
from app.web.dashboard.summaries import RunSummaries

MOST_STREAMS = 200
MOST_OF_ONE = 16
KEPT_FOR_OPERATOR = 40
"""Of `MOST_STREAMS`: anybody can sign in, with many accounts."""
EVENTS_PER_PAGE = 200


class Streams:
    """The live streams that are open in this process, and whose they are."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def may_open(self, visitor: str) -> bool:
        """Whether one more may be opened; others leave some to the operator (`""`)."""
        if not visitor:
            return self._open.total() < MOST_STREAMS
        others = self._open.total() - self._open[""]
        own = self._open[visitor]
        return others < MOST_STREAMS - KEPT_FOR_OPERATOR and own < MOST_OF_ONE

    @contextmanager
    def open(self, visitor: str) -> Iterator[None]:
        """A stream that counts until the end of the block."""
        self._open[visitor] += 1
        try:
            yield
        finally:
            self._open[visitor] -= 1
            if not self._open[visitor]:
                del self._open[visitor]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One application's settings, store and what its pages keep in memory."""

    settings: Settings
    store: SqlStore
    access: AccessControl
    journals: Journals
    heads: RunSummaries
    efforts: Efforts
    enqueue: Callable[[str], None]
    """Tells the durable engine of a run; may raise, for the outbox has the run."""
    streams: Streams = field(default_factory=Streams)


def dashboard_of(
    settings: Settings,
    store: SqlStore,
    role_source: RoleSource | None,
    enqueue: Callable[[str], None],
) -> Dashboard:
    """The dashboard of an application. Without a `role_source` only operators get in."""
    journals = Journals(settings, store)
    if role_source is not None:
        role_source = replace(role_source, role_of=QuestionBudget(role_source.role_of))
    return Dashboard(
        settings=settings,
        store=store,
        access=AccessControl(settings, role_source, ended_in(store.database)),
        journals=journals,
        heads=RunSummaries(journals),
        efforts=Efforts(store.database, journals),
        enqueue=enqueue,
    )


async def _dashboard(request: Request) -> Dashboard:
    dashboard: Dashboard = request.app.state.dashboard
    return dashboard


Context = Annotated[Dashboard, Depends(_dashboard)]
"""The dashboard that `create_app` put into the application's state."""


def visitor(request: Request, dashboard: Context) -> Visitor:
    """Who asks. Raises `HTTPException` 401 or 403, or `TokenInAddress`."""
    return dashboard.access.visitor(request)


Guest = Annotated[Visitor, Depends(visitor)]


async def _readable_run(run_id: str, dashboard: Context, visitor: Guest) -> Run:
    try:
        run = await run_in_threadpool(dashboard.store.get_run, run_id)
    except UnknownRun:
        raise HTTPException(404, "There is no such run.") from None
    if not await dashboard.access.may_read(visitor, run):
        raise HTTPException(404, "There is no such run.")
    return run


ReadableRun = Annotated[Run, Depends(_readable_run)]
"""The run of the address; to a visitor who may not read it, there is none (404)."""
