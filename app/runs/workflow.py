"""A run, from its trigger to the pull request, in a few coarse steps that may be repeated.

The durable engine (`app.server.workflow_engine`) keeps which steps are done and their results. What
happens within a step is kept where it belongs: in the journal (*debug*), or on GitHub, where every
act is found again by its key (*publish*). `first_round` and `later_rounds` have the steps.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from agent.errors import LostLease
from agent.journal.events import now
from app.github.fenced import fenced
from app.runs import crash_limit, failures, later_rounds
from app.runs.active_run import ActiveRun
from app.runs.failures import AwaitingAnswer, Requeued, was_interrupted
from app.runs.first_round import first_round
from app.runs.publication.again import publish_again
from app.runs.publication.step import ending_of, may_tell, report_failure
from app.runs.results import Ended, Failed
from app.runs.services import DurableStep, Services
from app.runs.triage.telling import settle
from app.storage.outage import is_unavailable, retry_while_unavailable
from app.storage.records import Run
from app.storage.store import SqlStore
from app.telemetry import logs, tracing

__all__ = ["DurableStep", "Services", "run_round"]

_log = logs.get(__name__)


async def run_round(services: Services, run_id: str, step: DurableStep, number: int = 1) -> None:
    """Execute a round of a run, continuing where an earlier worker stopped.

    A worker that lost the run to another ends as if cancelled: nothing of it is recorded.
    """
    claimed = await retry_while_unavailable(
        "claim", partial(_claim_round, services, run_id, number)
    )
    if claimed is None:
        return
    store, run, parked = claimed
    forge = fenced(
        services.forge(run.installation_id, run.repository, run.repository_id),
        run_id,
        lambda: store.holds(run_id),
    )
    active_run = ActiveRun(services, store, run, forge)
    try:
        try:
            with tracing.run(run_id, number, run.epoch, services.settings.executor):
                await _do_round(active_run, step, number, parked)
        except Requeued as requeued:
            await retry_while_unavailable(
                "hand back", partial(_requeue_later, active_run, requeued)
            )
            raise
    except LostLease as error:
        # Not an error of the run: whoever has it now goes on, and the engine must record nothing.
        raise asyncio.CancelledError(str(error)) from None
    except asyncio.CancelledError:
        with suppress(SQLAlchemyError):  # the process ends, which is no death of the run's doing
            store.release(run_id)
        raise
    finally:
        await forge.close()


async def _do_round(run: ActiveRun, step: DurableStep, number: int, parked: str) -> None:
    """The round. Whatever goes wrong in it, the run is finished or requeued at the end."""
    try:
        if parked:
            await _park_or_fail(run, parked)
        elif number == 1:
            await first_round(run, step)
        elif not run.record.pull_request:
            await publish_again(run, step)
        else:
            await later_rounds.later_round(run, step)
    except LostLease:
        raise
    except Exception as error:
        if run.services.ending.is_set() or was_interrupted(error):  # the process ends
            raise asyncio.CancelledError(str(error)) from error
        if is_unavailable(error):
            raise Requeued(str(error)) from None
        _log.error("a run failed", run=run.record.id, exc_info=True)
        await retry_while_unavailable(
            "end", partial(_park_or_fail, run, failures.public_message(error, run.record.id))
        )


async def _requeue_later(run: ActiveRun, requeued: Requeued) -> None:
    if isinstance(requeued, AwaitingAnswer):
        run.store.wait_for_answer(run.record.id, requeued.asked)
        return
    after_s = requeued.after_s
    run.store.requeue_later(run.record.id, now() + timedelta(seconds=after_s) if after_s else None)


async def _claim_round(
    services: Services, run_id: str, number: int
) -> tuple[SqlStore, Run, str] | None:
    """Claim the run for this round, with the reason if it must be parked. None: it is over."""
    before = services.store.get_run(run_id)
    store = services.store.claim(run_id, services.settings.executor)
    run = store.get_run(run_id)
    if run.status == "done" or run.round != number:
        return None
    parked = crash_limit.why_parked(store, before)
    store.set_running(run_id)
    return store, run, parked


async def _park_or_fail(run: ActiveRun, reason: str) -> None:
    """End a run that cannot continue. Not in steps: what it did before has taken their numbers."""
    present = run.store.get_run(run.record.id)
    if present.status == "done" or present.round != run.record.round:
        return
    if run.record.pull_request:  # it stands, whatever became of this round
        outcome = run.record.outcome or "failed"
        await run.finish(Ended(outcome, pull=run.record.pull_request, reason=reason))
        return
    if may_tell(run, post_comment=True):
        with suppress(Requeued):  # it must not begin again, only because its issue cannot be told
            await run.with_retries("explain", partial(report_failure, run, None, reason))
    ended = ending_of(run, Failed(reason))
    settle(run, ended)
    await run.finish(ended)
