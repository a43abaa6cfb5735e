"""What the database has accepted and the durable engine does not know yet."""

from __future__ import annotations

from typing import Protocol

from app.inbox import Inbox
from app.store import SqlStore


class Engine(Protocol):
    """Who is told."""

    def enqueue(self, run_id: str) -> None:
        """Tell of a run and note that it is known. Again is nothing."""
        ...

    def enqueue_ask(self, ask_id: str) -> None:
        """Tell of an ask and note that it is known. Again is nothing."""
        ...


def flush(engine: Engine, store: SqlStore, inbox: Inbox) -> int:
    """Tell the engine of all runs and asks that it does not know yet; gives how many."""
    runs, asks = store.unqueued(), inbox.unqueued()
    for run in runs:
        engine.enqueue(run.id)
    for ask in asks:
        engine.enqueue_ask(ask)
    return len(runs) + len(asks)
