"""Another try to publish what a run proved: from the kept patch, without a model."""

from __future__ import annotations

from functools import partial

from app.publishing import publish
from app.publishing.publication import kept_proof
from app.runs.active_run import ActiveRun
from app.runs.publication.step import end_failed, note, publish_result
from app.runs.results import BaseMoved, Debugged, Ended, Failed, Prepared, Published
from app.runs.services import DurableStep

NOTHING_KEPT = "No patch of this run is kept that could be published."


async def publish_again(run: ActiveRun, step: DurableStep) -> None:
    """One round that only publishes; what is in the way now is told as at the first time."""
    published = await run.do_step(step, "publish", partial(_publish_kept, run))
    match published:
        case Published(outcome, attempt, pull, reason):
            ended = Ended(outcome, attempt, pull or None, reason)
        case Failed():
            ended = await end_failed(run, step, None, published)
    await step("finish", partial(run.finish, ended))


async def _publish_kept(run: ActiveRun) -> Published | Failed:
    number = kept_proof(run.events())
    if not number:
        return Failed(NOTHING_KEPT)
    with publish.noting(partial(note, run), "prove", run.facts()):
        repository = await run.forge.repository()
    made_from = run.state(number).started
    prepared = Prepared(
        base_commit=made_from.base_commit if made_from else "",
        base_branch=run.record.trigger.base_branch or repository.default_branch,
        clone_url=repository.clone_url,
    )
    result = await publish_result(run, prepared, Debugged(number), last=True)
    assert not isinstance(result, BaseMoved)  # not at the last time
    return result
