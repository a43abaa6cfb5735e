"""The first round of a run: authorise, prepare, debug, publish."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

from agent.journal.events import GateJudged, Outcome
from agent.journal.state import AttemptState
from agent.task import Attachment, Issue
from app.github.records import IssueThread, Pull
from app.publishing import publish
from app.publishing.facts import must_be_draft, patch_of
from app.publishing.publish import Fetched
from app.runs import attempts, failures, trees
from app.runs.active_run import ISSUE_LOG, ActiveRun
from app.runs.admission_step import authorise, refuse
from app.runs.attachments import ci_logs, linked_files, links, web_location
from app.runs.attempts import AttemptPlan
from app.runs.results import (
    BaseMoved,
    Debugged,
    Denied,
    Done,
    Ended,
    Failed,
    Prepared,
    Published,
    Refused,
)
from app.runs.services import DurableStep

MAX_LAPS = 3
"""How often work starts over because the base branch moved; after that, a draft says so."""


async def first_round(run: ActiveRun, step: DurableStep) -> None:
    """From the issue to a pull request, a draft or a diagnosis, in durable steps."""
    allowed = await run.do_step(step, "authorise", partial(authorise, run), heeds_stop=True)
    ended: Ended
    match allowed:
        case Denied(reason):  # A stranger gets silence: no comment, only the record.
            ended = Ended("stopped", reason=reason)
        case Refused(reason):
            await run.do_step(step, "refuse", partial(refuse, run, reason))
            ended = Ended("stopped", reason=reason)
        case Failed():
            ended = await _failed(run, step, None, allowed)
        case Done():
            ended = await _prepare_to_publish(run, step)
    await step("finish", partial(run.finish, ended))


async def _prepare_to_publish(run: ActiveRun, step: DurableStep) -> Ended:
    prepared = await run.do_step(step, "prepare", partial(prepare, run), heeds_stop=True)
    if isinstance(prepared, Failed):
        return await _failed(run, step, None, prepared)
    lap = 1
    while True:
        suffix = f" {lap}" if lap > 1 else ""
        act = partial(debug, run, prepared)
        result = await run.do_step(step, f"debug{suffix}", act, heeds_stop=True)
        if isinstance(result, Failed):
            return await _failed(run, step, prepared, result)
        publishing = partial(publish_result, run, prepared, result, last=lap == MAX_LAPS)
        published = await run.do_step(step, f"publish{suffix}", publishing)
        match published:
            case Failed():
                return await _failed(run, step, prepared, published)
            case Published(outcome, attempt, pull, reason):
                return Ended(outcome, attempt, pull or None, reason)
            case BaseMoved(again, base_commit, first):
                lap += 1
                prepared = replace(prepared, again=again, base_commit=base_commit, first=first)


async def _failed(
    run: ActiveRun, step: DurableStep, prepared: Prepared | None, failed: Failed
) -> Ended:
    """Say so on the issue if possible; returns how the run is recorded."""
    if failed.post_comment:
        await run.do_step(step, "explain", partial(report_failure, run, prepared, failed.reason))
    return Ended("stopped" if failed.stopped else "failed", reason=failed.reason)


async def prepare(run: ActiveRun) -> Prepared:
    """Bring the mirror up to date; keep the issue as it is now; fix the commit to work from."""
    run.phase("preparing")
    await run.update_status("preparing", run.facts(), AttemptState())
    trigger, forge = run.record.trigger, run.forge
    fetched = await _fetch(run)
    thread = await forge.issue(run.record.issue_number)
    issue = as_issue(thread, await forge.bot_login())
    run.store.put_log(run.record.id, ISSUE_LOG, issue.model_dump_json().encode())
    found = links((issue.title, issue.body, *issue.comments), *web_location(run))
    checks = tuple(dict.fromkeys((*trigger.checks, *found.checks)))
    attachments = (*await ci_logs(run, checks), *await linked_files(run, found.files))
    attached = [attachment.model_dump() for attachment in attachments]
    return Prepared(
        base_commit=fetched.base_commit,
        base_branch=trigger.base_branch or fetched.repository.default_branch,
        clone_url=fetched.repository.clone_url,
        attached=json.dumps(attached),
    )


async def debug(run: ActiveRun, prepared: Prepared) -> Debugged:
    """Run or resume the attempts; the journal keeps everything that matters."""
    config = await run.services.config(run.forge)
    plan = AttemptPlan(
        tree=prepared.base_commit,
        first=prepared.first,
        attempts=1 if prepared.again else config.attempts,
        again=prepared.again,
        attachments=tuple(Attachment.model_validate(a) for a in json.loads(prepared.attached)),
    )
    chosen = await attempts.debug(run, plan, run.facts(prepared), prepared.clone_url)
    return Debugged(chosen)


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
    facts = run.facts(prepared)
    if state.outcome not in ("proven", "draft") or not patch_of(state):
        await publish.report_failure(run.forge, facts, state)
        outcome = state.outcome or "failed"
        return Published(outcome, number, reason=state.diagnosis)
    mirror = await trees.mirror_with(run, prepared.base_commit, prepared.clone_url)
    known = await publish.find_own_pull(run.forge, facts)
    if known is None and (ending := await _stop_reason_now(run)):
        return ending.result
    if state.outcome == "proven" and known is None:
        tip = (await _fetch(run)).base_commit
        # The commit that the proof is of: the steps before may have been done again since.
        proven_on = state.started.base_commit if state.started else prepared.base_commit
        if tip != proven_on:
            command = state.started.test_command if state.started else ""
            judged = await attempts.prove_on_commit(
                run, tip, prepared.clone_url, patch_of(state), state.reproduction, command
            )
            if judged.verdict == "proven":
                run.store.append(run.record.id, [judged.model_copy(update={"attempt": number})])
                prepared, state = replace(prepared, base_commit=tip), run.state(number)
                facts = run.facts(prepared)
            elif not last:
                again = _base_moved_text(prepared.base_branch, tip, judged, patch_of(state))
                return BaseMoved(again, tip, run.next_attempt())
            else:
                run.store.append(run.record.id, [_unproven_on_tip(judged, number, tip, state)])
                state = run.state(number)
    config = await run.services.config(run.forge)
    published = await publish.publish(run.forge, mirror, facts, state, config)
    await record_pull(run, published.pull)
    ended: Outcome = "draft" if must_be_draft(state) else "proven"
    return Published(ended, number, pull=published.pull.url)


async def _stop_reason_now(run: ActiveRun) -> failures.StopReason | None:
    """Whether the issue or its repository no longer wants a pull request."""
    thread = await run.forge.issue(run.record.issue_number)
    repository = await run.forge.repository()
    name, number = run.record.repository, run.record.issue_number
    return failures.stop_reason_for_issue(thread, repository, name=name, number=number)


async def record_pull(run: ActiveRun, pull: Pull) -> None:
    """The pull request is the run's from now on; what was said there already is not missed."""
    run.store.set_pull(run.record.id, pull.number)
    login = await run.forge.bot_login()
    has_comments = any(r.author != login for r in await run.forge.review_comments(pull.number))
    if has_comments or not pull.open or await run.forge.failed_checks(pull.head_sha):
        run.services.inbox.wake(run.record.id)


async def report_failure(run: ActiveRun, prepared: Prepared | None, reason: str) -> Done:
    """Say on the issue why the run ended."""
    facts = run.facts(prepared)
    await publish.report_failure(run.forge, facts, run.state(1), reason)
    return Done()


async def _fetch(run: ActiveRun) -> Fetched:
    repository = await run.forge.repository()
    mirror = run.services.mirror(repository.clone_url)
    return await publish.fetch(run.forge, mirror, run.record.trigger.base_branch)


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


def as_issue(thread: IssueThread, own_login: str) -> Issue:
    """The issue for the agent, without what the App itself wrote there."""
    return Issue(
        title=thread.title,
        body=thread.body,
        number=thread.number,
        author=f"{thread.author} ({_standing(thread.association)})",
        comments=tuple(
            f"{c.author} ({_standing(c.association)}): {c.body}"
            for c in thread.comments
            if c.author != own_login
        ),
    )


def _standing(association: str) -> str:
    """What somebody is to the repository, for the model: by GitHub's word, not by their own."""
    known = {"OWNER": "owner", "MEMBER": "member", "COLLABORATOR": "collaborator"}
    return known.get(association, "stranger")
