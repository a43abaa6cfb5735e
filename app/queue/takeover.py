"""Passes a dead worker's work to live workers: one of them does so, under a database lock.

The engine takes up by itself only what a worker of the same name left. Here every unfinished
workflow whose worker does not live is put back into its queue; the runs' epochs are raised first,
so that a worker that only seemed dead can neither write nor act for them from that moment on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

import sqlalchemy as sa

from app.queue import worker_registry
from app.storage import audit
from app.storage.tables import runs
from app.telemetry import logs

LOCK = 0x70617464
"""Key of PostgreSQL's advisory lock: one sweeps at a time."""

_log = logs.get(__name__)


class Workflow(Protocol):
    """What the takeover needs to know of an unfinished workflow."""

    workflow_id: str
    executor_id: str | None
    queue_name: str | None


class Workflows(Protocol):
    """What the takeover needs of the durable engine: `dbos.DBOS` or `dbos.DBOSClient`."""

    def list_workflows(
        self, *, status: str, load_input: bool, load_output: bool
    ) -> Sequence[Workflow]:
        """Workflows of a status."""
        ...

    def resume_workflows(self, workflow_ids: list[str], *, queue_name: str | None) -> object:
        """Put workflows back into a queue."""
        ...


def sweep(
    database: sa.Engine,
    workflows: Callable[[], Workflows],
    dead_after_s: float,
    *,
    mark_dead: bool = True,
) -> list[str]:
    """Requeue the workflows of dead workers; returns their ids. Idempotent.

    Workers that were silent for `dead_after_s` count as dead. With `mark_dead` off no worker is
    newly taken for dead: only what earlier ones left is put back.
    """
    with database.begin() as connection:
        if database.dialect.name == "postgresql":
            locked = sa.select(sa.func.pg_try_advisory_xact_lock(LOCK))
            if not connection.execute(locked).scalar_one():
                return []
        dead = worker_registry.mark_dead(connection, dead_after_s) if mark_dead else []
        alive = worker_registry.alive(connection)
        left = [
            workflow
            for workflow in workflows().list_workflows(
                status="PENDING", load_input=False, load_output=False
            )
            if workflow.executor_id not in alive
        ]
        if left:
            connection.execute(
                sa.update(runs)
                .where(runs.c.status == "running", runs.c.owner.not_in(alive))
                .values(epoch=runs.c.epoch + 1)
            )
    if dead:
        _log.warning("workers sent no heartbeat", workers=dead)
    # After the fence is durable. If this process dies here, the next sweep finds them again.
    by_queue: defaultdict[str | None, list[str]] = defaultdict(list)
    for workflow in left:
        by_queue[workflow.queue_name].append(workflow.workflow_id)
    for queue, ids in by_queue.items():
        workflows().resume_workflows(ids, queue_name=queue)
    for workflow in left:
        _log.warning("taken over", workflow=workflow.workflow_id, worker=workflow.executor_id)
        audit.record(
            database,
            "patchwright",
            "takeover",
            workflow.workflow_id,
            f"left by {workflow.executor_id}",
        )
    return [workflow.workflow_id for workflow in left]
