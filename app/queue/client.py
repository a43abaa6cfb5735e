"""The durable engine from a process that does no runs itself: `serve --no-worker`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dbos import DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from app.queue import workflows
from app.queue.outbox import Outbox
from app.settings.schema import Settings
from app.storage.inbox import Inbox
from app.storage.store import SqlStore


class EngineClient:
    """Puts work into the engine's queues; workers elsewhere take it."""

    def __init__(self, client: DBOSClient, store: SqlStore) -> None:
        self._client = client
        self._store = store
        self._inbox = Inbox(store.database)
        self._outbox = Outbox(self, store, self._inbox)

    def enqueue(self, run_id: str) -> None:
        """Tell the engine of a run and note that it knows. Idempotent."""
        run = self._store.not_enqueued(run_id)
        if run is None:
            return
        options, words = workflows.for_run(run)
        workflow = options["workflow_id"]
        known = self.statuses([workflow]).get(workflow)
        if workflows.is_left(known):
            self._client.resume_workflows([workflow], queue_name=workflows.QUEUE)
        else:
            self._client.enqueue(options, *words)
        self._store.mark_enqueued(run)

    def enqueue_ask(self, ask_id: str) -> None:
        """Tell the engine of an ask and note that it knows. Idempotent."""
        options, words = workflows.for_ask(ask_id, self._inbox.get(ask_id))
        self._client.enqueue(options, *words)
        self._inbox.mark_enqueued(ask_id)

    def flush_outbox(self) -> int:
        """Tell the engine of all runs and asks that it does not know yet; gives how many."""
        return self._outbox.flush()

    def forget(self, workflow_id: str) -> None:
        """Delete an ended workflow, so that it may be begun anew under its name."""
        self._client.delete_workflow(workflow_id)

    def statuses(self, workflow_ids: Sequence[str]) -> dict[str, str]:
        """The engine's own word for each of these workflows, of those that it knows."""
        found = self._client.list_workflows(
            workflow_ids=list(workflow_ids), load_input=False, load_output=False
        )
        return {workflow.workflow_id: workflow.status for workflow in found}

    @property
    def ready(self) -> bool:
        """Whether the engine's tables can be reached."""
        try:
            self._client.check_connection()
        except (SQLAlchemyError, OSError):
            return False
        return True


@contextmanager
def connected(settings: Settings, store: SqlStore) -> Iterator[EngineClient]:
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
        yield EngineClient(client, store)
    finally:
        client.destroy()
