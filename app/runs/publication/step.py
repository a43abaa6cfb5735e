"""From a kept verdict to a pull request; what stands in the way is told, with the patch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from agent.journal.events import GateJudged, Outcome, PublicationStep
from agent.journal.state import AttemptState
from app.git.mirror import Mirror
from app.github.errors import ForgeAway, ForgeError, RateLimited
from app.github.records import IssueThread, Pull
from app.proof_block.schema import ProofBlock
from app.proof_block.text import from_json, to_json
from app.publishing import publish
from app.publishing.commits import signing_of
from app.publishing.facts import RunFacts, must_be_draft, patch_of
from app.publishing.markers import branch_names
from app.publishing.obstacles import Obstacle
from app.publishing.publication import (
    PATCH_LOG,
    Publication,
    has_patch,
    kept_proof,
    publication_of,
)
from app.publishing.pull_request import proof_block
from app.repo_config.effective import EffectiveConfig
from app.runs import attempts, failures, trees
from app.runs.active_run import ActiveRun
from app.runs.results import BaseMoved, Debugged, Done, Ended, Failed, Prepared, Published
from app.runs.services import DurableStep
from app.telemetry import logs
from sandbox.byte_text import to_bytes

UNPUBLISHED = "Fix proven, but it could not be published"

_log = logs.get(__name__)


async def publish_result(
    run: ActiveRun, prepared: Prepared, debugged: Debugged, *, last: bool
) -> Published | BaseMoved | Failed:
    """Open the pull request, or report what is known.

    When the base branch moved meanwhile, the patch is proven again on its tip first; where that
    fails, `BaseMoved` says why and the work continues from there, unless this was the `last` time.
    """
    run.phase("publishing")
    number = debugged.attempt
    state = run.state(number)
    if run.is_silent and must_be_draft(state) and not is_proven(run):
        return Published("diagnosis", number, reason=state.diagnosis)
    if not has_patch(state):
        return await _publish_diagnosis(run, prepared, number, state)
    known = publication_of(run.events())
    # The commit that the proof is of: the steps before may have been done again since.
    made_from = state.started.base_commit if state.started else prepared.base_commit
    prepared = replace(prepared, base_commit=known.base or made_from)
    facts = run.facts(prepared)
    with publish.noting(partial(note, run), "prove", facts):
        prepared = await trees.at_its_place(run, prepared)
        facts = run.facts(prepared)
        mirror = await trees.mirror_with(run, prepared.base_commit, prepared.clone_url)
        config = await run.services.config(run.forge)
        pull = await _own_pull(run, facts, known, config)
        if pull is None and config.off:
            return Failed(config.off, stopped=True)
        if pull is None and (ending := await _stop_reason_now(run)):
            _note_ending(run, ending, facts)
            return ending.result
        tip = ""
        if state.outcome == "proven" and pull is None:
            tip = (await trees.fetch(run)).base_commit
    if tip and tip != prepared.base_commit:
        judged = await _prove_on_tip(run, prepared.clone_url, state, tip)
        if judged.verdict == "proven":
            proven = PublicationStep(attempt=0, step="prove", status="done", base=tip)
            kept = judged.model_copy(update={"attempt": number})
            run.store.append(run.record.id, [kept, proven])
            prepared = replace(prepared, base_commit=tip)
        elif last:
            run.store.append(run.record.id, [_unproven_on_tip(judged, number, tip, state)])
            if run.is_silent:
                why = "It was proven before, but not on the branch's tip."
                return Published("diagnosis", number, reason=why)
        else:
            again = _base_moved_text(prepared.base_branch, tip, judged, patch_of(state))
            moved = Obstacle("base_moved", "\n".join(f"- {why}" for why in judged.reasons))
            note(run, moved.as_step("prove", base=prepared.base_commit, branch="", commit=""))
            return BaseMoved(again, tip, run.next_attempt())
    return await _open_pull(run, mirror, run.facts(prepared), config, number)


async def _open_pull(
    run: ActiveRun,
    mirror: Mirror,
    facts: RunFacts,
    config: EffectiveConfig,
    number: int,
) -> Published:
    state, known = run.state(number), publication_of(run.events())
    facts = replace(facts, judged_at=run.judged_at(number))
    published = await publish.publish(
        run.forge,
        mirror,
        facts,
        state,
        config,
        known=known,
        note=partial(note, run),
        signing=signing_of(run.services.settings),
    )
    keep_block(run, proof_block(facts, state, published.commit))
    await record_pull(run, published.pull)
    ended: Outcome = "draft" if must_be_draft(state) else "proven"
    return Published(ended, number, pull=published.pull.url)


async def _publish_diagnosis(
    run: ActiveRun, prepared: Prepared, number: int, state: AttemptState
) -> Published | Failed:
    """The attempt has no patch; one before it may have one, proven where the base branch was."""
    if kept := kept_proof(run.events()):
        await tell_unpublished(run, prepared, kept, state.diagnosis)
        return Published(run.state(kept).outcome or "failed", kept, reason=state.diagnosis)
    moved = await _stop_reason_now(run)
    if moved and moved.kind == "transferred":
        return moved.result
    await publish.report_failure(run.forge, run.facts(prepared), state)
    return Published(state.outcome or "failed", number, reason=state.diagnosis)


async def _own_pull(
    run: ActiveRun, facts: RunFacts, known: Publication, config: EffectiveConfig
) -> Pull | None:
    names = branch_names(facts, config.pull_request.branch_prefix)
    return await publish.find_own_pull(run.forge, facts, known, names)


async def _prove_on_tip(
    run: ActiveRun, clone_url: str, state: AttemptState, tip: str
) -> GateJudged:
    """The gate's verdict on the patch on top of the branch's tip."""
    command = state.started.test_command if state.started else ""
    patch = patch_of(state)
    return await attempts.prove_on_commit(run, tip, clone_url, patch, state.reproduction, command)


async def _stop_reason_now(run: ActiveRun) -> failures.StopReason | None:
    """Whether the issue or its repository no longer wants a pull request."""
    thread = await run.forge.issue(run.record.issue_number)
    repository = await run.repository()
    name, number = run.record.repository, run.record.issue_number
    ending = failures.stop_reason_for_issue(thread, repository, name=name, number=number)
    if ending and ending.kind == "transferred":
        await run.best_effort(_tell_at_new_place(run, thread, ending.text))
    return ending


async def _tell_at_new_place(run: ActiveRun, thread: IssueThread, text: str) -> None:
    """End the status comment of an issue that was transferred: it went with the issue."""
    run.check_lease()
    owner, name = urlsplit(thread.url).path.split("/")[-4:-2]
    forge = run.services.forge(run.record.installation_id, f"{owner}/{name}", 0)
    try:
        facts = replace(run.facts(ending=text), issue_number=thread.number)
        await publish.update_status_comment(forge, facts, "done", AttemptState())
    finally:
        await forge.close()


def _note_ending(run: ActiveRun, ending: failures.StopReason, facts: RunFacts) -> None:
    found = Obstacle(ending.kind, ending.text)
    note(run, found.as_step("prove", base=facts.base_commit, branch="", commit=""))


async def record_pull(run: ActiveRun, pull: Pull) -> None:
    """The pull request is the run's from now on; what was said there already is not missed."""
    run.store.set_pull(run.record.id, pull.number)
    try:
        unheard = not pull.open or await _has_feedback(run, pull)
    except (ForgeAway, RateLimited):
        raise
    except ForgeError as error:  # what people say from now on is delivered
        _log.warning("what was said already could not be read", run=run.record.id, why=str(error))
        return
    if unheard:
        run.services.inbox.wake(run.record.id)


async def _has_feedback(run: ActiveRun, pull: Pull) -> bool:
    login = await run.forge.bot_login()
    said = await run.forge.review_comments(pull.number)
    failed = await run.forge.failed_checks(pull.head_sha)
    return bool(failed) or any(comment.author != login for comment in said)


PROOF_BLOCK_LOG = "proof-block"
"""Log id under which the proof block of the run's pull request is kept."""


def keep_block(run: ActiveRun, block: ProofBlock) -> None:
    """Keep the proof block of what is in the run's pull request."""
    run.store.put_log(run.record.id, PROOF_BLOCK_LOG, to_json(block).encode())


async def restore_block(run: ActiveRun) -> None:
    """Bring the kept block to its place in the pull request's description, if it is not there."""
    kept = run.store.get_log(run.record.id, PROOF_BLOCK_LOG)
    if kept is not None:
        run.check_lease()
        block, number = from_json(kept.decode()), run.record.pull_number
        await run.best_effort(publish.put_proof_block(run.forge, run.facts(), block, number))


def note(run: ActiveRun, step: PublicationStep) -> None:
    """Keep a step of the publication in the journal; a repeated one once."""
    steps = [event for event in run.events() if isinstance(event, PublicationStep)]
    if not steps or steps[-1] != step:
        run.store.append(run.record.id, [step])


async def end_failed(
    run: ActiveRun, step: DurableStep, prepared: Prepared | None, failed: Failed
) -> Ended:
    """The end of a round whose step failed: the reason is told, and what was proven with its patch.

    Where nothing was proven, the reason is told if that is possible and wanted.
    """
    if may_tell(run, post_comment=failed.post_comment):
        telling = partial(report_failure, run, prepared, failed.reason, stopped=failed.stopped)
        await run.do_step(step, "explain", telling)
    return ending_of(run, failed)


def may_tell(run: ActiveRun, *, post_comment: bool) -> bool:
    """Whether the end of a round that failed is told: with what was proven, or else if people
    asked for it and it is possible."""
    if run.is_silent:
        return is_proven(run)
    return bool(kept_proof(run.events())) or post_comment


def is_proven(run: ActiveRun) -> bool:
    """Whether the run has a proven patch, published or not."""
    number = kept_proof(run.events())
    return bool(number) and not must_be_draft(run.state(number))


def ending_of(run: ActiveRun, failed: Failed) -> Ended:
    """How a round is recorded whose step failed: what was proven before stays proven."""
    number, publication = kept_proof(run.events()), publication_of(run.events())
    if failed.stopped or not number:
        return Ended("stopped" if failed.stopped else "failed", number, reason=failed.reason)
    outcome = run.state(number).outcome or "failed"
    if publication.pull:
        return Ended(outcome, number, publication.url, failed.reason)
    reason = f"{UNPUBLISHED}: {failed.reason}" if outcome == "proven" else failed.reason
    return Ended(outcome, number, reason=reason)


async def tell_unpublished(
    run: ActiveRun, prepared: Prepared | None, number: int, reason: str, *, stopped: bool = False
) -> Done:
    """Bring a kept patch to people, with what was in the way of its pull request."""
    state, publication = run.state(number), publication_of(run.events())
    if publication.obstacle is None:
        unknown = Obstacle("stopped" if stopped else "other", reason)
        publication = replace(publication, obstacle=unknown)
    run.store.put_log(run.record.id, PATCH_LOG, to_bytes(patch_of(state)))
    base = publication.base or (state.started.base_commit if state.started else "")
    facts = run.facts(prepared)
    facts = replace(facts, base_commit=base or facts.base_commit)
    await publish.report_unpublished(
        run.forge, facts, state, publication, reason, partial(note, run)
    )
    return Done()


async def report_failure(
    run: ActiveRun, prepared: Prepared | None, reason: str, *, stopped: bool = False
) -> Done:
    """Say why the run ended, with what was proven if anything was."""
    number, publication = kept_proof(run.events()), publication_of(run.events())
    if number and not publication.pull:
        return await tell_unpublished(run, prepared, number, reason, stopped=stopped)
    facts = run.facts(prepared)
    if number:
        state = run.state(number)
        await run.update_status("done", facts, state, publication.url)
    else:
        await publish.report_failure(run.forge, facts, run.state(1), reason)
    return Done()


def _base_moved_text(branch: str, tip: str, judged: GateJudged, patch: str) -> str:
    reasons = "\n".join(f"- {reason}" for reason in judged.reasons)
    return (
        f"You had a proven patch, but the branch {branch} has since moved to {tip[:12]}, where "
        f"the patch is not proven:\n{reasons[:4000]}\n"
        "The tree is that new commit, without the patch. See whether the bug is still there, and "
        f"adapt the fix. The patch was:\n```diff\n{patch[:20_000]}\n```"
    )


def _unproven_on_tip(judged: GateJudged, attempt: int, tip: str, state: AttemptState) -> GateJudged:
    """The verdict on a patch that was proven, but not on the branch's tip: it becomes a draft."""
    why = f"Proven on the commit it was made from, but not on {tip[:12]}, where the branch is now."
    update = {"attempt": attempt, "reasons": (why, *judged.reasons), "patch": patch_of(state)}
    return judged.model_copy(update={**update, "verdict": "unproven"})
