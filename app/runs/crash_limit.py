"""A run that kills its workers is not tried for ever: it is parked, with a diagnosis."""

from __future__ import annotations

from app.storage import audit, controls
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs

_log = logs.get(__name__)


def examine(store: SqlStore, before: Run) -> str:
    """Why the run must be parked; empty when it may go on. `before`: as it was before the claim.

    A run in work whose worker did not give it back was left by a death. One that only waited for
    something outside had no part in it.
    """
    if before.status != "running" or not before.owner:
        return ""
    journal = store.events(before.id)
    if controls.only_waited(journal):
        return ""
    mark = controls.progress(journal)
    blame = controls.count_death(store.engine, before.id, before.owner, mark)
    _log.warning(
        "a worker died with this run in hand", run=before.id, worker=before.owner, blame=blame
    )
    if blame < controls.BLAME:
        return ""
    reason = controls.diagnosis(journal)
    audit.note(store.engine, "patchwright", "park", before.id, reason)
    return reason
