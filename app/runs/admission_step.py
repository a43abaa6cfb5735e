"""Whether a run may begin: who asked for it, what became of its issue, and the limits.

A run that has to wait holds its place in the engine's queue for a while, so that it goes on as soon
as it may; then it gives the place to others and comes back later.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import sqlalchemy as sa

from agent.journal.events import now
from agent.journal.state import RunState
from app import endings
from app.admission import authorization
from app.admission.limits import Admission, Go, Mark, Refuse, Wait, admit
from app.admission.rows import read_marks
from app.github.forge import Forge
from app.github.records import IssueThread
from app.publishing import publish
from app.publishing.facts import FACTS_LOG, wishes_of
from app.repo_config.effective import Terms
from app.runs.active_run import RunWork
from app.runs.failures import HandedBack
from app.runs.services import Result
from app.storage import tables
from app.storage.records import Run
from app.storage.tables import to_micros
from app.telemetry import logs

LONGEST_WAIT_S = 300.0
"""Then the run's place in the queue goes to others."""
LOCK = 0x6C696D73
"""Key of PostgreSQL's advisory lock: one run begins at a time."""

_log = logs.get(__name__)


async def authorise(run: RunWork) -> Result:
    """Ask GitHub whether the sender may start a run and whether the issue still wants one.

    `denied` says why it ends in silence, `refused` why it ends with a word on the issue.
    """
    run.phase("queued")
    forge = run.forge
    terms = await run.services.terms(forge)
    denied, thread = await examine(forge, run.run, terms)
    if denied:
        _log.info("not permitted", run=run.run.id, by=run.run.triggered_by, why=denied)
        return {"denied": denied}
    await _let_go(run)
    await run.softly(forge.react(run.run.issue_number, "eyes"))
    wishes = wishes_of(terms, thread)
    run.store.put_log(run.run.id, FACTS_LOG, wishes.model_dump_json().encode())
    place = run.run.issue_number, terms, run.run.repository
    await run.softly(publish.tell_problems(forge, *place))
    if terms.stop:
        return {"refused": "The repository's settings have mistakes; the other comment names them."}
    return await _admitted(run, terms)


async def examine(forge: Forge, run: Run, terms: Terms) -> tuple[str, IssueThread]:
    """Why the run is not wanted here, in words; empty when it is. And its issue."""
    trigger = run.trigger
    minimum = authorization.least_role(trigger.by, terms)
    permission = await forge.permission(run.triggered_by) if minimum else None
    thread = await forge.issue(run.issue_number)
    repository = await forge.repository()
    denied = authorization.unwanted(trigger, terms) or authorization.denial(
        permission, thread, repository, minimum=minimum, on_pull=trigger.is_pull_request
    )
    ending = endings.of_issue(thread, repository, name=run.repository, number=run.issue_number)
    return denied or (ending.text if ending else ""), thread


async def refuse(run: RunWork, reason: str) -> Result:
    """Say on the issue why the run does not begin."""
    await run.tell("done", run.facts({"ending": reason}), RunState())
    return {}


async def _let_go(run: RunWork) -> None:
    """Wait while the issue is being told that the run waits (see `app.runs.queue_notices`)."""
    while True:
        if not is_held(run.store.engine, run.run.id, now()):
            return
        await asyncio.sleep(0.2)


async def _admitted(run: RunWork, terms: Terms) -> Result:
    """Wait until the limits let the run begin."""
    told, until = "", time.monotonic() + LONGEST_WAIT_S
    while True:
        run.check_lease()
        if run.store.stop_requested(run.run.id):
            return {"denied": "It was stopped while it waited."}
        match begin(run.store.engine, run.run, terms, now()):
            case Go():
                return {}
            case Refuse(reason):
                return {"refused": reason}
            case Wait(ahead, reason):
                if told != (told := f"{ahead} {reason}"):
                    waits = {"queue_place": str(ahead), "waits_for": reason}
                    await run.tell("queued", run.facts(waits), RunState())
        if time.monotonic() > until:
            raise HandedBack("others may use the place meanwhile")
        await asyncio.sleep(min(1.0, run.services.tell_every_s))


def is_held(engine: sa.Engine, run_id: str, moment: datetime) -> bool:
    """Whether somebody tells the run's issue at this moment that it waits."""
    held = sa.select(tables.runs.c.held_until).where(tables.runs.c.id == run_id)
    with engine.execution_options(read_only=True).connect() as connection:
        return (connection.execute(held).scalar_one_or_none() or 0) > to_micros(moment)


def begin(engine: sa.Engine, run: Run, terms: Terms, moment: datetime) -> Admission:
    """Let a run begin if the limits allow, and record that. Again is the same."""
    table = tables.runs
    with engine.begin() as connection:
        # SQLite has one writer at a time anyhow.
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        begun = sa.select(table.c.begun_at).where(table.c.id == run.id)
        if connection.execute(begun).scalar_one_or_none() is not None:
            return Go()
        mine = Mark(run.id, run.repository, run.created_at, live=True)
        admission = admit(mine, read_marks(connection, moment), terms.bounds, moment)
        if isinstance(admission, Go):
            values = {"begun_at": to_micros(moment), "model": terms.model}
            connection.execute(sa.update(table).where(table.c.id == run.id).values(**values))
        return admission
