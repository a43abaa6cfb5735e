"""Tells people at their issues that runs wait for their turn, and at which place.

Work itself tells of a run from its beginning on. Before that nobody has it in hand, so somebody has
to look: every worker does, and a hold in the database sees to it that one of them writes, and none
while the run begins.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from agent.journal.events import now
from agent.journal.state import RunState
from app.admission.limits import Mark, queue_place
from app.admission.rows import read_marks
from app.github.records import ForgeError
from app.publishing import publish
from app.publishing.facts import facts_of, wishes_of
from app.runs.admission_step import examine
from app.runs.services import Services
from app.storage import tables
from app.storage.records import Run
from app.storage.tables import to_micros
from app.telemetry import logs

EVERY_S = 15.0
GRACE = timedelta(seconds=5)
"""Most runs begin at once: then there is nothing to tell."""
MOST = 20
"""Runs that are told of in one go, the oldest first."""
HOLD = timedelta(seconds=60)
"""Longer than a comment takes; a worker that dies meanwhile delays a run by no more than this."""

_log = logs.get(__name__)


@contextmanager
def attended(services: Services) -> Iterator[None]:
    """Look after those who wait, beside the work, until the end of the block."""
    stop = threading.Event()

    async def attend() -> None:
        told: dict[str, int] = {}
        while not await asyncio.to_thread(stop.wait, EVERY_S):
            try:
                await tell_waiting(services, told)
            except Exception:  # noqa: BLE001  a courtesy: the next look may do better
                _log.warning("those who wait could not be told", exc_info=True)

    thread = threading.Thread(target=lambda: asyncio.run(attend()), name="front-desk", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(EVERY_S)


async def tell_waiting(services: Services, told: dict[str, int]) -> None:
    """Bring the status comments of waiting runs up to date; `told` is what was told before."""
    engine, moment = services.store.engine, now()
    with engine.execution_options(read_only=True).connect() as connection:
        marks = read_marks(connection, moment)
        waiting: list[str] = list(connection.execute(_waiting(moment)).scalars())
    for run in map(services.store.get_run, waiting):
        place = queue_place(Mark(run.id, run.repository, run.created_at, live=True), marks)
        if told.get(run.id) != place:
            try:
                await _tell(services, run, place, first=run.id not in told)
            except ForgeError as error:
                _log.warning("could not tell of a run that waits", run=run.id, why=str(error))
            told[run.id] = place
    for gone in told.keys() - set(waiting):
        del told[gone]


async def _tell(services: Services, run: Run, place: int, *, first: bool) -> None:
    forge = services.forge(run.installation_id, run.repository)
    try:
        terms = await services.terms(forge)
        denied, thread = await examine(forge, run, terms)
        if denied or not hold(services.store.engine, run.id, now()):
            return
        try:
            if first:
                await forge.react(run.issue_number, "eyes")
            at = {"queue_place": str(place)}
            facts = facts_of(services.settings, run, wishes_of(terms, thread), at, 0.0)
            await publish.announce(forge, facts, "queued", RunState())
        finally:
            release(services.store.engine, run.id)
    finally:
        await forge.close()


def _waiting(moment: datetime) -> sa.Select[Any]:
    table = tables.runs
    return (
        sa.select(table.c.id)
        .where(
            table.c.status == "queued",
            table.c.round == 1,
            table.c.begun_at.is_(None),
            table.c.created_at < to_micros(moment - GRACE),
        )
        .order_by(table.c.created_at, table.c.id)
        .limit(MOST)
    )


def hold(engine: sa.Engine, run_id: str, moment: datetime) -> bool:
    """Keep a run that nobody works on from beginning; False when it is too late, or held."""
    table = tables.runs
    free = sa.or_(table.c.held_until.is_(None), table.c.held_until < to_micros(moment))
    statement = (
        sa.update(table)
        .where(table.c.id == run_id, table.c.status == "queued", free)
        .values(held_until=to_micros(moment + HOLD))
    )
    with engine.begin() as connection:
        return connection.execute(statement).rowcount > 0


def release(engine: sa.Engine, run_id: str) -> None:
    """The run may begin."""
    table = tables.runs
    with engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.id == run_id).values(held_until=None))
