"""DBOS as the durable engine: a queue of runs, and a record of which steps of each are done."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer
from sqlalchemy.engine import make_url

from app.intake import handlers
from app.queue import workflows
from app.queue.client import QueueCalls, enqueue_event, enqueue_run
from app.queue.outbox import Outbox
from app.queue.workflows import (
    APPLICATION,
    CHECK_QUEUE,
    EVENT_QUEUE,
    EVENT_WORKFLOW,
    PROOF_QUEUE,
    QUEUE,
    ROUND_WORKFLOW,
    VERSION,
    WORKFLOW,
)
from app.runs.failures import Requeued
from app.runs.results import StepJson
from app.runs.services import Services
from app.runs.workflow import run_round
from app.settings.database_url import pool_of
from app.storage.outage import retry_while_unavailable
from app.telemetry import logs

EVENTS_AT_ONCE = 32
"""Most of them wait: for GitHub, or for one of its limits."""
POLL_S = 0.5
"""How long a run may wait in the queue although there is room."""

_CALLS = QueueCalls(
    enqueue=DBOS.enqueue_workflow_with_options,
    resume=lambda workflow: DBOS.resume_workflows([workflow], queue_name=QUEUE),
    find=lambda ids: DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False),
)
_log = logs.get(__name__)


class WorkflowEngine:
    """The running engine."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._inbox = services.inbox
        self._outbox = Outbox(self, self._store, self._inbox)
        self._up = False
        self.patience_s = 0.0
        """How long active runs may continue at shutdown; no new ones are started."""

    def enqueue(self, run_id: str) -> None:
        """Tell the engine of a run and note that it knows. Idempotent."""
        enqueue_run(_CALLS, self._store, run_id)

    def enqueue_event(self, event_id: str) -> None:
        """Tell the engine of an event and note that it knows. Idempotent."""
        enqueue_event(_CALLS, self._inbox, event_id)

    def flush_outbox(self) -> int:
        """Tell the engine of all runs and events that it does not know yet; returns how many."""
        return self._outbox.flush()

    def delete_workflow(self, workflow_id: str) -> None:
        """Delete an ended workflow, so that it may be started again under its name."""
        DBOS.delete_workflow(workflow_id)

    def statuses(self, workflow_ids: Sequence[str]) -> dict[str, str]:
        """The engine's status for each of these workflows that it knows."""
        return _CALLS.statuses(workflow_ids)

    @property
    def ready(self) -> bool:
        """Whether the engine takes work."""
        return self._up


@contextmanager
def running_engine(services: Services) -> Iterator[WorkflowEngine]:
    """Starts the engine, which then executes runs, this worker's unfinished ones first.

    Only one at a time in a process: DBOS keeps its state in globals. At the end runs are left where
    they are; the next start continues with them.
    """
    settings = services.settings
    _use_wal(settings.engine_database)
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": settings.engine_database,
        "application_version": VERSION,
        "executor_id": settings.executor,
        # JSON, not the default pickle: who can write the database must not be able to run code.
        "serializer": DBOSPortableJSONSerializer(),
        "run_migrations": True,
        "log_level": "WARNING",
    }
    if not settings.database.startswith("sqlite"):
        config["db_engine_kwargs"] = {**pool_of(settings.database)}
    workflow_engine = WorkflowEngine(services)
    services.ending.clear()
    DBOS(config=config)
    DBOS.workflow(name=WORKFLOW)(_run_workflow(services, workflow_engine))
    DBOS.workflow(name=ROUND_WORKFLOW)(_round_workflow(services, workflow_engine))
    DBOS.workflow(name=EVENT_WORKFLOW)(_event_workflow(services, workflow_engine))
    try:
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            global_concurrency=settings.concurrency,
            worker_concurrency=min(settings.worker_concurrency, settings.concurrency),
            partition_concurrency=settings.repository_concurrency,
            polling_interval_sec=POLL_S,
            on_conflict="always_update",
        )
        # People wait for an answer, also while all workers debug.
        DBOS.register_queue(
            EVENT_QUEUE,
            worker_concurrency=EVENTS_AT_ONCE,
            partition_concurrency=1,
            polling_interval_sec=POLL_S,
            on_conflict="always_update",
        )
        DBOS.register_queue(
            CHECK_QUEUE,
            worker_concurrency=settings.check_concurrency,
            partition_concurrency=1,
            polling_interval_sec=POLL_S,
            on_conflict="always_update",
        )
        DBOS.register_queue(
            PROOF_QUEUE,
            worker_concurrency=settings.proof_concurrency,
            partition_concurrency=settings.repository_proofs,
            polling_interval_sec=POLL_S,
            on_conflict="always_update",
        )
        workflow_engine._up = True
        if enqueued := workflow_engine.flush_outbox():
            _log.info("runs enqueued from the outbox", count=enqueued)
        yield workflow_engine
    finally:
        workflow_engine._up = False
        if not workflow_engine.patience_s:
            services.ending.set()
        # Cancels the workflows in mid-step without recording anything of it.
        DBOS.destroy(
            destroy_registry=True, workflow_completion_timeout_sec=int(workflow_engine.patience_s)
        )


def _run_workflow(
    services: Services, workflow_engine: WorkflowEngine
) -> Callable[[str], Awaitable[None]]:
    async def run(run_id: str) -> None:
        async with _cancelled_when_requeued(services, run_id):
            await run_round(services, run_id, _step)
        await _enqueue_new_work(workflow_engine)

    return run


def _round_workflow(
    services: Services, workflow_engine: WorkflowEngine
) -> Callable[[str, int], Awaitable[None]]:
    async def round_of_run(run_id: str, number: int) -> None:
        async with _cancelled_when_requeued(services, run_id):
            await run_round(services, run_id, _step, number)
        await _enqueue_new_work(workflow_engine)

    return round_of_run


def _event_workflow(
    services: Services, workflow_engine: WorkflowEngine
) -> Callable[[str], Awaitable[None]]:
    async def handle_event(event_id: str) -> None:
        await handlers.handle_event(services, event_id, _step)
        await _enqueue_new_work(workflow_engine)

    return handle_event


@asynccontextmanager
async def _cancelled_when_requeued(services: Services, run_id: str) -> AsyncIterator[None]:
    """Cancel the workflow of a run that is handed back, which frees its place in the queue.

    In this order: what is in the outbox is resumed, and a resumed one must not be cancelled.
    """

    def release() -> None:
        run = services.store.get_run(run_id)
        if run.status in ("queued", "waiting"):  # else somebody has it again
            DBOS.cancel_workflow(workflows.for_run(run)[0]["workflow_id"])
            services.store.requeue(run_id)

    async def released() -> None:
        # In a bare thread: it must not count as a step of this workflow.
        await asyncio.get_running_loop().run_in_executor(None, release)

    try:
        yield
    except Requeued:
        await retry_while_unavailable("release", released)
        raise


async def _enqueue_new_work(workflow_engine: WorkflowEngine) -> None:
    """Runs that this work left in the outbox: at once, and not when the outbox is looked into next.

    In a bare thread, because what is enqueued must not count as a part of this workflow.
    """
    try:
        await asyncio.get_running_loop().run_in_executor(None, workflow_engine.flush_outbox)
    except Exception:  # noqa: BLE001  the outbox keeps them, and is looked into again
        _log.warning("new work could not be enqueued yet", exc_info=True)


async def _step(name: str, act: Callable[[], Awaitable[StepJson]]) -> StepJson:
    async def recorded() -> StepJson:
        return await retry_while_unavailable(name, act)

    return await DBOS.run_step_async({"name": name}, recorded)


def _use_wal(url: str) -> None:
    """Put the engine's SQLite file into WAL mode, which persists; DBOS does not do so."""
    database = make_url(url).database
    if make_url(url).get_backend_name() == "sqlite" and database:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
