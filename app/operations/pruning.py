"""Deletes what finished work leaves behind: the engine's records, deliveries, answers, marks.

Rows of runs and the audit log stay, and with the row of a run all that tells its delivery when that
comes again. Nothing goes that is open: a run that is not over, or whose pull request may bring
another round; an event without an answer, or one that the engine has in hand.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer
from dbos import WorkflowStatus as Workflow

from app.queue.workflows import APPLICATION, UNDER_WAY, event_of, run_of, workflow_of_event
from app.settings.schema import Settings
from app.storage.run_rows import ended_before
from app.storage.tables import (
    alerts,
    asks,
    comments,
    controls,
    deliveries,
    expiries,
    handled,
    nights,
    notice_sends,
    notices,
    proofs,
    pull_outcomes,
    questions,
    run_budgets,
    runs,
    spending,
    to_micros,
    usage,
)
from app.telemetry import logs

KEEP = timedelta(days=30)
"""GitHub delivers again for three days."""
KEEP_USAGE = timedelta(days=366)
KEEP_BUDGETS = timedelta(days=62)
"""Longer than a month."""
KEEP_ALERTS = timedelta(days=180)
"""Those with an issue, which is found by them when they come again."""
BATCH = 100
PAUSE_S = 0.05
"""After a full batch: each is a separate transaction, and others write in between."""
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]

_log = logs.get(__name__)


def prune(settings: Settings, database: sa.Engine, moment: datetime) -> int:
    """Delete what is due at this moment; returns how many rows and workflows."""
    before = moment - KEEP
    old_run = sa.select(runs.c.id).where(ended_before(before))
    old_proof = sa.select(proofs.c.id).where(proofs.c.ended_at < to_micros(before))
    event = sa.select(asks.c.id).where(asks.c.id == deliveries.c.id)
    owners = [sa.select(t.c.id).where(t.c.id == controls.c.run_id) for t in (runs, proofs, asks)]
    of_budget = notices.c.kind.in_(("near_budget", "over_budget"))
    gone = 0
    with _workflows(settings, database) as client:
        gone += _delete_events(database, client, before)
        for table, due in (
            # One whose event is still there would be taken for new, and then there were two.
            (deliveries, (deliveries.c.received_at < to_micros(before)) & ~event.exists()),
            (handled, handled.c.run_id.in_(old_run)),
            (questions, questions.c.run_id.in_(old_run)),
            (expiries, expiries.c.run_id.in_(old_run)),
            (controls, controls.c.run_id.in_(old_run)),
            (controls, controls.c.run_id.in_(old_proof)),
            (controls, ~sa.or_(*(owner.exists() for owner in owners))),  # of checks, for one
            (comments, comments.c.begun_at < to_micros(before)),  # listed by now
            (proofs, proofs.c.ended_at < to_micros(moment - KEEP_USAGE)),
            (alerts, alerts.c.seen_at < to_micros(moment - KEEP_ALERTS)),
            (alerts, (alerts.c.seen_at < to_micros(before)) & (alerts.c.issue_number == 0)),
            (notice_sends, notice_sends.c.next_at < to_micros(before)),
            # One of a budget is what keeps its month from being told of again.
            (notices, (notices.c.at < to_micros(before)) & ~of_budget),
            (notices, notices.c.at < to_micros(moment - KEEP_BUDGETS)),
            # What was found of each issue stays: it is not looked at, or asked about, twice.
            (nights, nights.c.ended_at < to_micros(moment - KEEP_USAGE)),
            (usage, usage.c.day < f"{moment - KEEP_USAGE:%Y-%m-%d}"),
            (spending, spending.c.month < f"{moment - KEEP_USAGE:%Y-%m}"),
            (pull_outcomes, pull_outcomes.c.run_id.not_in(sa.select(runs.c.id))),
            (run_budgets, run_budgets.c.run_id.in_(old_run)),
        ):
            gone += _delete(database, table, due)
        if client is not None:
            gone += _delete_workflows(database, client, before)
    if gone:
        _log.info("old records", deleted=gone)
    return gone


def _delete(database: sa.Engine, table: sa.Table, due: sa.ColumnElement[bool]) -> int:
    key = list(table.primary_key)
    batch = sa.select(*key).where(due).limit(BATCH)
    total = 0
    while True:
        with database.execution_options(quick=True).begin() as connection:
            done = connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(batch))).rowcount
        total += done
        if done < BATCH:
            return total
        time.sleep(PAUSE_S)


def _delete_events(database: sa.Engine, client: DBOSClient | None, before: datetime) -> int:
    """Delete answered events. The engine may still come to one that a later one's turn answered."""
    old = sa.and_(asks.c.answer != "", asks.c.received_at < to_micros(before))
    total, last = 0, ""
    while True:
        query = sa.select(asks.c.id).where(old, asks.c.id > last).order_by(asks.c.id).limit(BATCH)
        with database.execution_options(read_only=True).connect() as connection:
            found = list(connection.execute(query).scalars())
        if not found:
            return total
        waiting: set[str] = set()
        if client is not None:
            ids = [workflow_of_event(event_id) for event_id in found]
            waiting = {event_of(flow.workflow_id) for flow in _list(client, [*UNDER_WAY], ids=ids)}
        total += _delete(database, asks, old & asks.c.id.in_(set(found) - waiting))
        last = found[-1]


def _delete_workflows(database: sa.Engine, client: DBOSClient, before: datetime) -> int:
    """Delete the engine's records of runs that are over, and of events that were deleted."""
    total = kept = 0
    while flows := _list(client, ENDED, until=before, offset=kept):
        ids = [flow.workflow_id for flow in flows]
        due = _due(database, before, ids)
        if due:
            client.delete_workflows(due)
        total, kept = total + len(due), kept + len(ids) - len(due)
        time.sleep(PAUSE_S)
    return total


def _due(database: sa.Engine, before: datetime, workflows: Collection[str]) -> list[str]:
    """The ended workflows among these that are no longer needed."""
    of_runs = {flow: run_of(flow) for flow in workflows if not event_of(flow)}
    of_events = {flow: event_of(flow) for flow in workflows if event_of(flow)}
    ended = sa.select(runs.c.id).where(runs.c.id.in_(set(of_runs.values())), ended_before(before))
    there = sa.select(asks.c.id).where(asks.c.id.in_(set(of_events.values())))
    with database.execution_options(read_only=True).connect() as connection:
        old = set(connection.execute(ended).scalars())
        known = set(connection.execute(there).scalars())
    return [flow for flow, run in of_runs.items() if run in old] + [
        flow for flow, event_id in of_events.items() if event_id not in known
    ]


def _list(
    client: DBOSClient,
    status: list[str],
    *,
    ids: list[str] | None = None,
    until: datetime | None = None,
    offset: int = 0,
) -> list[Workflow]:
    return client.list_workflows(
        status=status,
        workflow_ids=ids,
        end_time=until.isoformat() if until else None,
        limit=BATCH,
        offset=offset,
        load_input=False,
        load_output=False,
    )


@contextmanager
def _workflows(settings: Settings, database: sa.Engine) -> Iterator[DBOSClient | None]:
    """The engine's own database, from whatever process; None while there is none."""
    if database.dialect.name == "sqlite":
        there = Path(sa.make_url(settings.engine_database).database or "").exists()
    else:
        there = sa.inspect(database).has_table("workflow_status", schema="dbos")
    if not there:
        yield None
        return
    client = DBOSClient(
        system_database_url=settings.engine_database,
        serializer=DBOSPortableJSONSerializer(),
        application_name=APPLICATION,
        lazy=True,
        retry_connection_errors=False,
    )
    try:
        yield client
    finally:
        client.destroy()
