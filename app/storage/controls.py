"""What operators ask of runs, how often workers died of a run, and what the installation used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from agent.journal.events import (
    AttemptEnded,
    AttemptStarted,
    GateJudged,
    ModelWaiting,
    Recorded,
    RunPhase,
    SandboxOpened,
    ToolFinished,
    ToolStarted,
)
from app.storage.records import UnknownRun
from app.storage.run_rows import insert_of
from app.storage.tables import runs
from app.tables_operations import controls, usage

WAITING = "waiting"
"""Phase of a run for which something outside is away."""
DEATHS = 3
"""So many workers may die at one place of a run that they had alone; then it is parked."""
ALONE, AMONG_OTHERS = 2, 1
"""What a death counts: of a worker that had other runs in hand, any of them may be the cause, or
none. A run that kills its worker comes to the same end, after twice as many deaths."""
BLAME = DEATHS * ALONE


def set_paused(engine: sa.Engine, run_id: str, paused: bool) -> None:
    """Let a run wait before its next turn, or go on. Raises `UnknownRun`."""
    with engine.begin() as connection:
        known = sa.select(runs.c.id).where(runs.c.id == run_id)
        if connection.execute(known).scalar_one_or_none() is None:
            raise UnknownRun(run_id)
        row = insert_of(engine)(controls).values(run_id=run_id, paused=paused, deaths=0, mark=-1)
        connection.execute(
            row.on_conflict_do_update(index_elements=["run_id"], set_={"paused": paused})
        )


def paused(engine: sa.Engine, run_id: str) -> bool:
    """Whether the run has to wait."""
    query = sa.select(controls.c.paused).where(controls.c.run_id == run_id)
    with engine.execution_options(read_only=True).connect() as connection:
        return bool(connection.execute(query).scalar_one_or_none())


def count_death(engine: sa.Engine, run_id: str, owner: str, mark: int) -> int:
    """The run's worker died when it was as far as `mark`; gives the blame for such deaths there."""
    others = sa.select(sa.func.count()).where(
        runs.c.owner == owner, runs.c.status == "running", runs.c.id != run_id
    )
    with engine.execution_options(read_only=True).connect() as connection:
        counts = AMONG_OTHERS if connection.execute(others).scalar_one() else ALONE
    row = insert_of(engine)(controls).values(run_id=run_id, paused=False, deaths=counts, mark=mark)
    again = sa.case((controls.c.mark == mark, controls.c.deaths + counts), else_=counts)
    with engine.begin() as connection:
        counted = connection.execute(
            row.on_conflict_do_update(
                index_elements=["run_id"], set_={"deaths": again, "mark": mark}
            ).returning(controls.c.deaths)
        )
        return int(counted.scalar_one())


def progress(journal: Iterable[Recorded]) -> int:
    """How much of a run is complete: what a restart adds to the journal by itself is not counted.

    So two deaths with the same number were deaths in the same call, verdict or phase.
    """
    done = 0
    phases: set[str] = set()
    for entry in journal:
        match entry.event:
            case ToolFinished(status=status):
                done += status != "interrupted"
            case AttemptStarted() | AttemptEnded() | GateJudged():
                done += 1
            case RunPhase(phase=phase) if phase != WAITING:
                phases.add(phase)
    return done + len(phases)


def waits_since(journal: Sequence[Recorded]) -> datetime:
    """Since when a run has done nothing but wait for something outside; now, if it does not."""
    since = datetime.now(UTC)
    for entry in reversed(journal):
        match entry.event:
            case RunPhase(phase="waiting"):
                since = entry.at
            case RunPhase() | ModelWaiting() | SandboxOpened():
                continue  # another try
            case _:
                break
    return since


def only_waited(journal: Sequence[Recorded]) -> bool:
    """Whether all that a run did last was to wait for something outside."""
    match journal[-1].event if journal else None:
        case ModelWaiting() | RunPhase(phase="waiting"):
            return True
    return False


def diagnosis(journal: Iterable[Recorded]) -> str:
    """Why a run is parked, for its issue."""
    doing = "before its first step"
    for entry in journal:
        match entry.event:
            case RunPhase(phase=phase):
                doing = f"in the phase {phase!r}"
            case ToolStarted(name=name, call_id=call):
                doing = f"in the tool call `{name}` ({call})"
            case GateJudged() | AttemptEnded():
                doing = "after an attempt's end"
    return (
        f"The worker died {DEATHS} times or more at the same place, {doing}; this run was parked: "
        "another try would most likely end the same way. Workers that die for want of memory or "
        "disk are the usual cause; the worker's own log says more."
    )


def add_usage(engine: sa.Engine, tokens: int, moment: datetime | None = None) -> None:
    """A model turn used so many tokens."""
    row = insert_of(engine)(usage).values(day=_day(moment), tokens=tokens, turns=1)
    more = {"tokens": usage.c.tokens + tokens, "turns": usage.c.turns + 1}
    with engine.execution_options(quick=True).begin() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=["day"], set_=more))


def used_today(engine: sa.Engine, moment: datetime | None = None) -> int:
    """Tokens that all runs used on this day (UTC)."""
    query = sa.select(usage.c.tokens).where(usage.c.day == _day(moment))
    with engine.execution_options(read_only=True).connect() as connection:
        return int(connection.execute(query).scalar_one_or_none() or 0)


def _day(moment: datetime | None) -> str:
    return f"{moment or datetime.now(UTC):%Y-%m-%d}"
