"""A run that keeps killing its workers is parked with a diagnosis."""

from __future__ import annotations

from collections.abc import Iterable

from agent.journal.events import AttemptEnded, GateJudged, Recorded, RunPhase, ToolStarted
from app.runs import journal_progress
from app.storage import audit, controls
from app.storage.controls import DEATHS
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs

_log = logs.get(__name__)


def why_parked(store: SqlStore, before: Run) -> str:
    """Why the run must be parked; empty if it may continue. `before`: its row before the claim.

    A run in work whose worker did not give it back was left by a death. One that only waited for
    something outside had no part in it.
    """
    if before.status != "running" or not before.owner:
        return ""
    journal = store.events(before.id)
    if journal_progress.only_waited(journal):
        return ""
    progress = journal_progress.progress(journal)
    blame = controls.count_death(store.database, before.id, before.owner, progress)
    _log.warning(
        "a worker died with this run in hand", run=before.id, worker=before.owner, blame=blame
    )
    if blame < controls.BLAME:
        return ""
    reason = parking_diagnosis(journal)
    audit.record(store.database, "patchwright", "park", before.id, reason)
    return reason


def parking_diagnosis(journal: Iterable[Recorded]) -> str:
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
        f"The worker died at least {DEATHS} times at the same point, {doing}, so this run was "
        "parked: another try would most likely end the same way. The usual cause is a worker that "
        "runs out of memory or disk; its log says more."
    )
