"""Operators' pauses of runs, how often workers died from a run, and the tokens used."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from app.storage.records import UnknownRun
from app.storage.run_rows import dialect_insert
from app.storage.tables import controls, runs, usage

DEATHS = 3
"""Workers that may die at one point of a run that was their only one; then it is parked."""
ALONE, AMONG_OTHERS = 2, 1
"""What a death counts: of a worker that had other runs in hand, any of them may be the cause, or
none. A run that kills its worker comes to the same end, after twice as many deaths."""
BLAME = DEATHS * ALONE


def set_paused(database: sa.Engine, run_id: str, paused: bool) -> None:
    """Let a run wait before its next turn, or go on. Raises `UnknownRun`."""
    with database.begin() as connection:
        known = sa.select(runs.c.id).where(runs.c.id == run_id)
        if connection.execute(known).scalar_one_or_none() is None:
            raise UnknownRun(run_id)
        row = dialect_insert(database)(controls).values(
            run_id=run_id, paused=paused, deaths=0, mark=-1
        )
        connection.execute(
            row.on_conflict_do_update(index_elements=["run_id"], set_={"paused": paused})
        )


def is_paused(database: sa.Engine, run_id: str) -> bool:
    """Whether the run has to wait."""
    query = sa.select(controls.c.paused).where(controls.c.run_id == run_id)
    with database.execution_options(read_only=True).connect() as connection:
        return bool(connection.execute(query).scalar_one_or_none())


def count_death(database: sa.Engine, run_id: str, owner: str, progress: int) -> int:
    """Count a death of the run's worker at this point; gives the blame for deaths there so far."""
    others = sa.select(sa.func.count()).where(
        runs.c.owner == owner, runs.c.status == "running", runs.c.id != run_id
    )
    with database.execution_options(read_only=True).connect() as connection:
        counts = AMONG_OTHERS if connection.execute(others).scalar_one() else ALONE
    row = dialect_insert(database)(controls).values(
        run_id=run_id, paused=False, deaths=counts, mark=progress
    )
    again = sa.case((controls.c.mark == progress, controls.c.deaths + counts), else_=counts)
    with database.begin() as connection:
        counted = connection.execute(
            row.on_conflict_do_update(
                index_elements=["run_id"], set_={"deaths": again, "mark": progress}
            ).returning(controls.c.deaths)
        )
        return int(counted.scalar_one())


def add_usage(database: sa.Engine, tokens: int, moment: datetime | None = None) -> None:
    """A model turn used so many tokens."""
    row = dialect_insert(database)(usage).values(day=_day(moment), tokens=tokens, turns=1)
    more = {"tokens": usage.c.tokens + tokens, "turns": usage.c.turns + 1}
    with database.execution_options(quick=True).begin() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=["day"], set_=more))


def used_today(database: sa.Engine, moment: datetime | None = None) -> int:
    """Tokens that all runs used on this day (UTC)."""
    query = sa.select(usage.c.tokens).where(usage.c.day == _day(moment))
    with database.execution_options(read_only=True).connect() as connection:
        return int(connection.execute(query).scalar_one_or_none() or 0)


def _day(moment: datetime | None) -> str:
    return f"{moment or datetime.now(UTC):%Y-%m-%d}"
