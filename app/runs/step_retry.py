"""Executes a step of a run: waits while something is unavailable, else reports the failure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from agent.errors import LostLease, RunStopped
from agent.journal.events import Recorded, RunPhase, now
from app.github.errors import ForgeAway, RateLimited
from app.runs import failures, journal_progress
from app.runs.failures import (
    ANNOUNCE_WAIT_FROM_S,
    Requeued,
    first_error,
    is_transient,
    outage_label,
    public_message,
    returns_to_queue,
    wait_before_retry,
    was_dropped,
)
from app.runs.results import AnyResult, Failed
from app.runs.services import Services
from app.storage.outage import is_unavailable
from app.storage.store import SqlStore
from app.telemetry import logs, metrics

STOP_POLL_S = 1.0
LONGEST_OUTAGE = timedelta(days=1)
"""Longer outages will not end by themselves; some permanent faults look like outages."""

_log = logs.get(__name__)


async def with_retries(
    services: Services,
    store: SqlStore,
    run_id: str,
    name: str,
    act: Callable[[], Awaitable[AnyResult]],
    announce_wait: Callable[[str], Awaitable[None]],
    *,
    heeds_stop: bool = False,
) -> AnyResult | Failed:
    """Execute a step; wait and repeat it while something is unavailable; else report the failure.

    `store` holds the run's lease; `announce_wait` says on the issue what is waited for, when it
    takes long. A step that `heeds_stop` ends when a person stops the run while it waits; what
    people are told, and what is published, is done to its end.
    Raises `Requeued` when something stays away for long, and the database's errors while it is
    away; ends as if cancelled when the lease is lost.
    """
    tries, progress, wait, why, github_is_up = 0, -1, 0.0, "", False
    while True:
        try:
            if wait >= ANNOUNCE_WAIT_FROM_S:
                phase = RunPhase(attempt=0, phase=journal_progress.WAITING, detail=why)
                store.append(run_id, [phase])
                if github_is_up:
                    await announce_wait(why)
            await _pause(store, run_id, wait, heeds_stop)
            store.check_lease(run_id)
            return await act()
        except Exception as raised:  # noqa: BLE001  every failure gets its honest end
            error = first_error(raised)
        if is_unavailable(error):
            raise error  # it is waited for around the step, however long it takes
        if isinstance(error, LostLease):
            _log.warning("the run was taken over", run=run_id, step=name)
            # Not an error of the step: the engine must record nothing.
            raise asyncio.CancelledError(str(error))
        if services.ending.is_set() or was_dropped(error):  # the process ends
            raise asyncio.CancelledError(str(error)) from error
        reason = str(error) if isinstance(error, RunStopped) else ""
        if not reason and heeds_stop and is_transient(error):
            reason = store.stop_reason(run_id)
        if reason:
            return Failed(reason, stopped=True)
        # A step may last for hours: faults with progress in between are not one outage.
        journal = store.events(run_id)
        progress_now = journal_progress.progress(journal)
        tries, progress = (tries + 1 if progress_now == progress else 1), progress_now
        wait_s = wait_before_retry(error, tries, services.patience_s)
        if wait_s is None or journal_progress.waits_since(journal) < now() - LONGEST_OUTAGE:
            return _give_up(run_id, name, error, journal)
        wait, why = wait_s, public_message(error, run_id)
        github_is_up = not isinstance(error, ForgeAway | RateLimited)
        if isinstance(error, RateLimited) and wait > ANNOUNCE_WAIT_FROM_S:
            _log.warning("handed back until a limit ends", run=run_id, step=name, seconds=wait)
            metrics.count_requeue()
            raise Requeued(why, wait)
        _log.warning("a step waits", run=run_id, step=name, why=str(error), seconds=round(wait))
        metrics.count_step_wait(outage_label(error))


async def _pause(store: SqlStore, run_id: str, seconds: float, heeds_stop: bool) -> None:
    """Wait, but end early on a stop if the step heeds stops."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if heeds_stop and store.stop_reason(run_id):
            return
        await asyncio.sleep(min(left, STOP_POLL_S))


def _give_up(run_id: str, name: str, error: BaseException, journal: Sequence[Recorded]) -> Failed:
    """Give up: waiting does not help, or no longer does."""
    if returns_to_queue(error) and journal_progress.waits_since(journal) >= now() - LONGEST_OUTAGE:
        _log.warning("handed back to the queue", run=run_id, step=name, why=str(error))
        metrics.count_requeue()
        raise Requeued(str(error))
    if ending := failures.stop_reason_for_error(error):
        _log.warning("GitHub ended it", run=run_id, step=name, why=ending.kind)
        return ending.result
    _log.error("a step failed", run=run_id, step=name, exc_info=error)
    metrics.count_step_failure()
    return Failed(public_message(error, run_id))
