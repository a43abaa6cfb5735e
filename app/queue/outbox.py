"""What the database has accepted and the durable engine does not know yet, or has given up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

import sqlalchemy as sa

from agent.journal.events import now
from app.queue import workflows
from app.storage.alerts import Alerts
from app.storage.inbox import Inbox
from app.storage.outage import is_unavailable
from app.storage.records import Run
from app.storage.store import SqlStore
from app.storage.tables import asks, runs, to_micros
from app.telemetry import logs

POLL_EVERY_S = 60.0
"""How often to look for runs that the engine has given up."""
GRACE = timedelta(seconds=60)
"""A run with more recent events may just be passing from one worker to another."""
BATCH = 200
"""Runs that are compared with the engine at a time, chosen at random."""

Subject = TypeVar("Subject")

_log = logs.get(__name__)


class WorkflowQueue(Protocol):
    """What the outbox is sent to."""

    def enqueue(self, run_id: str) -> None:
        """Tell of a run and note that it is known. Idempotent."""
        ...

    def enqueue_event(self, event_id: str) -> None:
        """Tell of an event and note that it is known. Idempotent."""
        ...

    def delete_workflow(self, workflow_id: str) -> None:
        """Delete an ended workflow, so that it may be started again under its name."""
        ...

    def statuses(self, workflow_ids: Sequence[str]) -> dict[str, str]:
        """The engine's own word for each of these workflows, of those that it knows."""
        ...


class Outbox:
    """Empties itself into the engine; nothing is in it that is not in the database."""

    def __init__(self, queue: WorkflowQueue, store: SqlStore, inbox: Inbox) -> None:
        self._queue = queue
        self._store = store
        self._inbox = inbox
        self._looked = -POLL_EVERY_S

    def flush(self) -> int:
        """Tell the engine of all that it does not know; returns how much.

        What it takes no word of is logged and stays; raises when the database is unavailable.
        """
        if time.monotonic() - self._looked >= POLL_EVERY_S:
            self._looked = time.monotonic()
            requeue_lost_runs(self._store, self._queue)
            requeue_lost_events(self._store, self._queue)
        Alerts(self._store.database).queue_due()
        enqueued = 0
        for run in self._store.unqueued():
            enqueued += self._enqueue(self._queue.enqueue, run.id)
        for event_id in self._inbox.unqueued():
            enqueued += self._enqueue(self._queue.enqueue_event, event_id)
        return enqueued

    def _enqueue(self, enqueue: Callable[[str], None], work_id: str) -> bool:
        try:
            enqueue(work_id)
        except Exception as error:
            if is_unavailable(error):
                raise
            _log.error("the engine could not be notified", about=work_id, exc_info=True)
            return False
        return True


def requeue_lost_runs(store: SqlStore, queue: WorkflowQueue) -> list[str]:
    """Put live runs that the engine has given up or forgotten into the outbox; returns their ids.

    A process may die, or lose the database, at any point between the two; such a run would stand
    still for ever, and with it its issue.
    """
    limit = to_micros(now() - GRACE)
    query = (
        sa.select(runs.c.id, runs.c.epoch)
        .where(
            runs.c.live_key.is_not(None),
            runs.c.status.in_(("queued", "running", "waiting")),
            runs.c.enqueued_at < limit,
            runs.c.updated_at < limit,
        )
        .order_by(sa.func.random())
        .limit(BATCH)
    )
    with store.database.execution_options(read_only=True).connect() as connection:
        epochs = {row.id: row.epoch for row in connection.execute(query)}
    known = {_workflow(run): run for run in map(store.get_run, epochs)}
    requeued = []
    for workflow, (run, status) in _find_abandoned(queue, known).items():
        with store.database.begin() as connection:
            taken = connection.execute(
                sa.update(runs)
                .where(runs.c.id == run.id, runs.c.epoch == epochs[run.id])
                .where(runs.c.live_key.is_not(None), runs.c.enqueued_at.is_not(None))
                .values(epoch=runs.c.epoch + 1, status="queued", owner="", enqueued_at=None)
            )
        if not taken.rowcount:
            continue
        if workflows.must_be_deleted(status):
            queue.delete_workflow(workflow)
        _log.warning("a run that nobody worked on is put back", run=run.id, was=run.status)
        requeued.append(run.id)
    return requeued


def requeue_lost_events(store: SqlStore, queue: WorkflowQueue) -> list[str]:
    """The same for events that nobody handles; returns their ids."""
    limit = to_micros(now() - GRACE)
    query = (
        sa.select(asks.c.id)
        .where(asks.c.answer == "", asks.c.enqueued_at < limit)
        .order_by(sa.func.random())
        .limit(BATCH)
    )
    with store.database.execution_options(read_only=True).connect() as connection:
        known = {
            workflows.workflow_of_event(event_id): event_id
            for event_id in connection.execute(query).scalars()
        }
    requeued = []
    for workflow, (event_id, status) in _find_abandoned(queue, known).items():
        if status is not None:
            queue.delete_workflow(workflow)
        with store.database.begin() as connection:
            connection.execute(
                sa.update(asks)
                .where(asks.c.id == event_id, asks.c.answer == "")
                .values(enqueued_at=None)
            )
        _log.warning("an event that nobody handled is put back", delivery=event_id)
        requeued.append(event_id)
    return requeued


def _find_abandoned(
    queue: WorkflowQueue, known: Mapping[str, Subject]
) -> dict[str, tuple[Subject, str | None]]:
    """The workflows that the engine will not continue, each with its status there."""
    statuses = queue.statuses(list(known)) if known else {}
    return {
        workflow: (subject, statuses.get(workflow))
        for workflow, subject in known.items()
        if workflows.is_over(statuses.get(workflow))
    }


def _workflow(run: Run) -> str:
    return workflows.for_run(run)[0]["workflow_id"]
