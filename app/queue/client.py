"""Puts work into the durable engine's queues, also from a process that executes no runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dbos import DBOSClient, DBOSPortableJSONSerializer, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from app.queue import workflows
from app.queue.outbox import Outbox
from app.settings.schema import Settings
from app.storage.inbox import Inbox
from app.storage.store import SqlStore


@dataclass(frozen=True, slots=True)
class QueueCalls:
    """DBOS's calls for putting work into its queues: a client's, or the engine's own."""

    enqueue: Callable[..., object]
    """With options and the workflow's arguments."""
    resume: Callable[[str], object]
    """A workflow that was started and has not ended."""
    find: Callable[[list[str]], Iterable[WorkflowStatus]]
    """The workflows of these ids that the engine knows."""

    def statuses(self, workflow_ids: Sequence[str]) -> dict[str, str]:
        """The engine's own word for each of these workflows, of those that it knows."""
        return {found.workflow_id: found.status for found in self.find(list(workflow_ids))}


def enqueue_run(calls: QueueCalls, store: SqlStore, run_id: str) -> None:
    """Tell the engine of a run and note that it knows. Idempotent."""
    run = store.not_enqueued(run_id)
    if run is None:
        return
    options, arguments = workflows.for_run(run)
    workflow = options["workflow_id"]
    if workflows.must_be_resumed(calls.statuses([workflow]).get(workflow)):
        calls.resume(workflow)
    else:
        calls.enqueue(options, *arguments)
    store.mark_enqueued(run)


def enqueue_event(calls: QueueCalls, inbox: Inbox, event_id: str) -> None:
    """Tell the engine of an event and note that it knows. Idempotent."""
    options, arguments = workflows.for_event(event_id, inbox.get(event_id))
    calls.enqueue(options, *arguments)
    inbox.mark_enqueued(event_id)


class WorkflowClient:
    """Puts work into the engine's queues; workers elsewhere take it."""

    def __init__(self, client: DBOSClient, store: SqlStore) -> None:
        self._client = client
        self._store = store
        self._inbox = Inbox(store.database)
        self._outbox = Outbox(self, store, self._inbox)
        self._calls = QueueCalls(
            enqueue=client.enqueue,
            resume=lambda workflow: client.resume_workflows([workflow], queue_name=workflows.QUEUE),
            find=lambda ids: client.list_workflows(
                workflow_ids=ids, load_input=False, load_output=False
            ),
        )

    def enqueue(self, run_id: str) -> None:
        """Tell the engine of a run and note that it knows. Idempotent."""
        enqueue_run(self._calls, self._store, run_id)

    def enqueue_event(self, event_id: str) -> None:
        """Tell the engine of an event and note that it knows. Idempotent."""
        enqueue_event(self._calls, self._inbox, event_id)

    def flush_outbox(self) -> int:
        """Tell the engine of all runs and events that it does not know yet; returns how many."""
        return self._outbox.flush()

    def delete_workflow(self, workflow_id: str) -> None:
        """Delete an ended workflow, so that it may be started again under its name."""
        self._client.delete_workflow(workflow_id)

    def statuses(self, workflow_ids: Sequence[str]) -> dict[str, str]:
        """The engine's own word for each of these workflows, of those that it knows."""
        return self._calls.statuses(workflow_ids)

    @property
    def ready(self) -> bool:
        """Whether the engine's tables can be reached."""
        try:
            self._client.check_connection()
        except (SQLAlchemyError, OSError):
            return False
        return True


@contextmanager
def workflow_client(settings: Settings, store: SqlStore) -> Iterator[WorkflowClient]:
    """A client of the engine's database."""
    client = DBOSClient(
        system_database_url=settings.engine_database,
        serializer=DBOSPortableJSONSerializer(),
        application_name=workflows.APPLICATION,
        # The first worker makes the engine's tables; until then, and while the database is away,
        # the outbox keeps what is to be told.
        lazy=True,
        retry_connection_errors=False,
    )
    try:
        yield WorkflowClient(client, store)
    finally:
        client.destroy()
