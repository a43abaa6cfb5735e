"""The runs that count for limits, from the database."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from app.admission.limits import DAY, Mark
from app.storage import tables
from app.storage.tables import from_micros, to_micros


def read_marks(connection: sa.Connection, now: datetime) -> tuple[Mark, ...]:
    """All live runs and those that were asked for within the last day."""
    runs = tables.runs
    live = runs.c.live_key.is_not(None)
    query = sa.select(
        runs.c.id,
        runs.c.repository,
        runs.c.created_at,
        live.label("live"),
        (runs.c.status == "running").label("working"),
        runs.c.begun_at.is_not(None).label("begun"),
        sa.and_(runs.c.outcome == "stopped", sa.not_(runs.c.stop_requested)).label("refused"),
    ).where(sa.or_(live, runs.c.created_at > to_micros(now - DAY)))
    return tuple(
        Mark(
            row.id,
            row.repository,
            from_micros(row.created_at),
            live=bool(row.live),
            refused=bool(row.refused),
            working=bool(row.working),
            begun=bool(row.begun),
        )
        for row in connection.execute(query)
    )
