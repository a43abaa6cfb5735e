"""The runs that count for limits, from the database."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from app import tables
from app.limits import DAY, Mark
from app.tables import from_micros, to_micros


def read_marks(engine: sa.Engine, now: datetime) -> tuple[Mark, ...]:
    """All live runs and those that were asked for within the last day."""
    runs = tables.runs
    live = runs.c.live_key.is_not(None)
    query = sa.select(
        runs.c.id,
        runs.c.repository,
        runs.c.created_at,
        live.label("live"),
        sa.and_(runs.c.outcome == "stopped", sa.not_(runs.c.stop_requested)).label("refused"),
    ).where(sa.or_(live, runs.c.created_at > to_micros(now - DAY)))
    with engine.execution_options(read_only=True).connect() as connection:
        rows = connection.execute(query).all()
    return tuple(
        Mark(run_id, repository, from_micros(at), bool(is_live), bool(refused))
        for run_id, repository, at, is_live, refused in rows
    )
