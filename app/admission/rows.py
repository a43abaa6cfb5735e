"""The runs that count for limits, from the database."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.admission.limits import DAY, Admission, Go, QueuedRun, admit
from app.repo_config.effective import EffectiveConfig
from app.storage import tables
from app.storage.records import Run
from app.storage.tables import from_micros, to_micros


def read_queued_runs(connection: sa.Connection, now: datetime) -> tuple[QueuedRun, ...]:
    """All live runs and those that were requested within the last day."""
    runs = tables.runs
    live = runs.c.live_key.is_not(None)
    query = sa.select(
        runs.c.id,
        runs.c.repository,
        runs.c.repository_id,
        runs.c.installation_id,
        runs.c.created_at,
        # Who waits for an answer holds nobody up.
        sa.and_(live, runs.c.status != "waiting").label("live"),
        (runs.c.status == "running").label("working"),
        runs.c.begun_at.is_not(None).label("begun"),
        sa.and_(runs.c.outcome == "stopped", sa.not_(runs.c.stop_requested)).label("refused"),
    ).where(sa.or_(live, runs.c.created_at > to_micros(now - DAY)))
    return tuple(
        QueuedRun(
            row.id,
            row.repository,
            from_micros(row.created_at),
            live=bool(row.live),
            refused=bool(row.refused),
            working=bool(row.working),
            begun=bool(row.begun),
            repository_id=row.repository_id,
            installation_id=row.installation_id,
        )
        for row in connection.execute(query)
    )


LOCK = 0x6C696D73
"""Key of PostgreSQL's advisory lock: one run begins at a time."""


def is_start_held(database: sa.Engine, run_id: str, moment: datetime) -> bool:
    """Whether the run may not begin because its issue is being told that it waits."""
    held = sa.select(tables.runs.c.held_until).where(tables.runs.c.id == run_id)
    with database.execution_options(read_only=True).connect() as connection:
        return (connection.execute(held).scalar_one_or_none() or 0) > to_micros(moment)


def begin_if_admitted(
    database: sa.Engine, run: Run, config: EffectiveConfig, moment: datetime
) -> Admission:
    """Let a run begin if the limits allow, and record that. Idempotent."""
    table = tables.runs
    with database.begin() as connection:
        # SQLite has one writer at a time anyhow.
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        begun = sa.select(table.c.begun_at).where(table.c.id == run.id)
        if connection.execute(begun).scalar_one_or_none() is not None:
            return Go()
        candidate = QueuedRun(
            run.id,
            run.repository,
            run.created_at,
            live=True,
            repository_id=run.repository_id,
            installation_id=run.installation_id,
        )
        admission = admit(candidate, read_queued_runs(connection, moment), config.bounds, moment)
        if isinstance(admission, Go):
            values = {"begun_at": to_micros(moment), "model": config.model}
            connection.execute(sa.update(table).where(table.c.id == run.id).values(**values))
        return admission


GRACE = timedelta(seconds=5)
"""Most runs begin at once: then there is nothing to tell."""


MOST = 20
"""Runs that are announced at a time, the oldest first."""


HOLD = timedelta(seconds=60)
"""Longer than a comment takes; a worker that dies meanwhile delays a run by no more than this."""


def unannounced_waiting_runs(moment: datetime) -> sa.Select[Any]:
    """Runs that have waited for a while by this moment, of which nobody was told; oldest first."""
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


def hold_start(database: sa.Engine, run_id: str, moment: datetime) -> bool:
    """Keep a run that nobody works on from beginning; False when it is too late, or held."""
    table = tables.runs
    free = sa.or_(table.c.held_until.is_(None), table.c.held_until < to_micros(moment))
    statement = (
        sa.update(table)
        .where(table.c.id == run_id, table.c.status == "queued", free)
        .values(held_until=to_micros(moment + HOLD))
    )
    with database.begin() as connection:
        return connection.execute(statement).rowcount > 0


def release_start(database: sa.Engine, run_id: str) -> None:
    """The run may begin."""
    table = tables.runs
    with database.begin() as connection:
        connection.execute(sa.update(table).where(table.c.id == run_id).values(held_until=None))
