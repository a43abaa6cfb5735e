"""What operators do to runs: cancel, pause, resume, retry. Each is written into the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from agent.journal.events import RunEnded
from app.settings.schema import Settings
from app.storage import audit, controls
from app.storage.records import Run
from app.storage.store import SqlStore


class NotPossible(Exception):
    """The request is not possible in the run's state; the message says so."""


def cancel(store: SqlStore, run_id: str) -> str:
    """End a run: at once while it waits in the queue, else at its next step, also where it waits
    for an answer, which is withdrawn then. Says which.

    Raises `UnknownRun` and `NotPossible`.
    """
    run = store.get_run(run_id)
    if run.status == "done":
        raise NotPossible(f"run {run_id} is already over ({run.outcome})")
    store.request_stop(run_id)
    controls.set_paused(store.database, run_id, False)
    audit.record(store.database, audit.operator(), "cancel", run_id)
    if run.status in ("running", "waiting"):
        return "it is being stopped"
    lease = store.claim(run_id, audit.operator())
    ended = RunEnded(attempt=0, outcome="stopped", diagnosis="An operator cancelled the run.")
    lease.finish(run_id, ended)
    return "it was cancelled before it started"


def pause(store: SqlStore, run_id: str) -> str:
    """Let a run wait before its next model turn. Raises `UnknownRun` and `NotPossible`."""
    run = store.get_run(run_id)
    if run.status == "done":
        raise NotPossible(f"run {run_id} is already over ({run.outcome})")
    controls.set_paused(store.database, run_id, True)
    audit.record(store.database, audit.operator(), "pause", run_id)
    return "it pauses before its next turn; its time limit keeps running"


def resume(store: SqlStore, run_id: str) -> str:
    """Let a paused run continue. Raises `UnknownRun`."""
    store.get_run(run_id)
    controls.set_paused(store.database, run_id, False)
    audit.record(store.database, audit.operator(), "resume", run_id)
    return "it continues"


def retry(settings: Settings, store: SqlStore, run_id: str) -> Run:
    """Another run for the same issue, asked for by the same person; returns it.

    It begins when the service or a worker looks into the outbox, within seconds. Raises
    `UnknownRun`, and `NotPossible` while the issue has a live run.
    """
    run = store.get_run(run_id)
    delivery = f"retry-{uuid.uuid4().hex[:16]}"
    accepted = store.accept(delivery, "retry", run.trigger, model=settings.profile)
    if accepted.how != "new":
        raise NotPossible(f"{run.repository}#{run.issue_number} already has run {accepted.run_id}")
    audit.record(
        store.database, audit.operator(), "retry", accepted.run_id, f"again after {run_id}"
    )
    return store.get_run(accepted.run_id)


ACTIONS: dict[str, Callable[[SqlStore, str], str]] = {
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
}
