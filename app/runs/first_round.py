"""The first round of a run: authorise, prepare, debug, publish."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial

from agent.journal.state import AttemptState
from agent.model import Picture
from agent.task import Attachment, Issue
from app.attachments.links import links
from app.conventions.conventions import CONVENTIONS_LOG, read_conventions
from app.git.mirror import Mirror
from app.git.process import GitError
from app.github.records import IssueThread
from app.runs import attempts, trees
from app.runs.active_run import ISSUE_LOG, ActiveRun
from app.runs.admission_step import authorise, refuse
from app.runs.attachments import ci_logs, linked_files, linked_images, web_location
from app.runs.attempts import AttemptPlan
from app.runs.culprit_search import look_for_culprit
from app.runs.publication.step import end_failed, is_proven, publish_result
from app.runs.questions.waiting import asking, go_on, retract, wait_for_answer, wants_plan
from app.runs.related.mentions import named_files
from app.runs.related.work import (
    keep,
    keep_failure,
    look_around,
    remark_claims,
    why_not_begun,
)
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
    StepJson,
)
from app.runs.services import DurableStep
from app.runs.triage.look import look_at_issue, with_reproduction
from app.runs.triage.telling import settle, tell_without_fix
from app.telemetry import logs

MAX_LAPS = 3
"""How often work starts over because the base branch moved; after that, a draft says so."""

_log = logs.get(__name__)


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
            ended = await end_failed(run, step, None, allowed)
        case Done():
            ended = await _prepare_to_publish(run, step)
    await step("finish", partial(_finish, run, ended))


async def _finish(run: ActiveRun, ended: Ended) -> StepJson:
    await retract(run)
    settle(run, ended)
    return await run.finish(ended)


async def _prepare_to_publish(run: ActiveRun, step: DurableStep) -> Ended:
    prepared = await run.do_step(step, "prepare", partial(prepare, run), heeds_stop=True)
    if isinstance(prepared, Failed):
        return await end_failed(run, step, None, prepared)
    if isinstance(prepared, Refused):
        await run.do_step(step, "refuse", partial(refuse, run, prepared.reason))
        return Ended("stopped", reason=prepared.reason)
    looked = None
    if run.record.trigger.goal == "triage":
        looking = partial(look_at_issue, run, prepared)
        looked = await run.do_step(step, "look", looking, heeds_stop=True)
        if isinstance(looked, Failed):
            return await end_failed(run, step, prepared, looked)
        if isinstance(looked, Published):
            return Ended(looked.outcome, looked.attempt, reason=looked.reason)
        prepared = with_reproduction(run, prepared, looked.attempt)
    lap = 1
    while True:
        suffix = f" {lap}" if lap > 1 else ""
        work = look_for_culprit if run.record.trigger.goal == "culprit" else debug
        act = partial(work, run, prepared)
        result = await run.do_step(step, f"debug{suffix}", act, heeds_stop=True)
        if isinstance(result, Failed):
            return await end_failed(run, step, prepared, result)
        publishing = partial(publish_result, run, prepared, result, last=lap == MAX_LAPS)
        published = await run.do_step(step, f"publish{suffix}", publishing)
        match published:
            case Failed():
                return await end_failed(run, step, prepared, published)
            case Published(_, _, "", reason) if looked is not None and not is_proven(run):
                telling = partial(tell_without_fix, run, prepared, looked.attempt, reason)
                told = await run.do_step(step, "tell", telling)
                if isinstance(told, Failed):
                    return await end_failed(run, step, prepared, told)
                return Ended(told.outcome, told.attempt, reason=told.reason)
            case Published(outcome, attempt, pull, reason):
                return Ended(outcome, attempt, pull or None, reason)
            case BaseMoved(again, base_commit, first):
                lap += 1
                prepared = replace(prepared, again=again, base_commit=base_commit, first=first)


async def prepare(run: ActiveRun) -> Prepared | Refused:
    """Bring the mirror up to date; keep the issue as it is now; fix the commit to work from.

    `Refused` where somebody else is at the issue already, and nobody said to work on it as well.
    """
    run.phase("preparing")
    await run.update_status("preparing", run.facts(), AttemptState())
    trigger, forge = run.record.trigger, run.forge
    fetched = await trees.fetch(run)
    thread = await forge.issue(run.record.issue_number)
    issue = as_issue(thread, await forge.bot_login())
    run.store.put_log(run.record.id, ISSUE_LOG, issue.model_dump_json().encode())
    mirror, private = run.mirror(fetched.repository.clone_url), fetched.repository.private
    base_branch = trigger.base_branch or fetched.repository.default_branch
    around = await look_around(
        run,
        issue,
        mirror,
        fetched.base_commit,
        branches={base_branch, fetched.repository.default_branch},
        is_private=private,
    )
    keep(run, around, issue)
    config = await run.services.config(forge)
    if why := await why_not_begun(run, around, config):
        return Refused(why)
    remark_claims(run, around, config)
    if config.project_rules:
        default = fetched.repository.default_branch
        await asyncio.to_thread(_keep_conventions, run, mirror, default, issue)
    found = links((issue.title, issue.body, *issue.comments), *web_location(run))
    checks = tuple(dict.fromkeys((*trigger.checks, *found.checks)))
    attachments = (*await ci_logs(run, checks), *await linked_files(run, found.files))
    attached = [attachment.model_dump() for attachment in attachments]
    pictures = await linked_images(run, found.images, mirror, fetched.base_commit)
    return Prepared(
        base_commit=fetched.base_commit,
        base_branch=base_branch,
        clone_url=fetched.repository.clone_url,
        attached=json.dumps(attached),
        pictures=json.dumps([picture.model_dump() for picture in pictures]),
    )


def _keep_conventions(run: ActiveRun, mirror: Mirror, default_branch: str, issue: Issue) -> None:
    """Read how the project wants changes made, from its default branch whatever is worked on."""
    words = "\n".join((issue.title, issue.body, *issue.comments))
    try:
        commit = mirror.base_commit(default_branch)
        found = read_conventions(mirror, commit, named_files(mirror, commit, words))
    except GitError as error:  # it is good to have: the run does without
        _log.warning("no conventions", run=run.record.id, why=str(error))
        return
    run.store.put_log(run.record.id, CONVENTIONS_LOG, found.model_dump_json().encode())


async def debug(run: ActiveRun, prepared: Prepared) -> Debugged | Failed:
    """Run or resume the attempts; the journal keeps everything that matters.

    Raises `AwaitingAnswer` while a question is open.
    """
    config = await run.services.config(run.forge)
    if config.off:
        return Failed(config.off, stopped=True)
    if ended := await go_on(run, config, run.facts(prepared)):
        return ended
    prepared = await trees.at_its_place(run, prepared)
    alone = bool(prepared.again) or wants_plan(run, config)
    plan = AttemptPlan(
        tree=prepared.base_commit,
        first=prepared.first,
        attempts=1 if alone else config.attempts,
        rungs=1 if alone else len(config.ladder),
        again=prepared.again,
        attachments=tuple(Attachment.model_validate(a) for a in json.loads(prepared.attached)),
        pictures=tuple(Picture.model_validate(p) for p in json.loads(prepared.pictures)),
    )
    if not run.is_silent:  # nobody asked for it: nobody is asked
        plan = replace(plan, asking=asking(run, config, plan))
    chosen = await attempts.debug(run, plan, run.facts(prepared), prepared.clone_url)
    await wait_for_answer(run, config, run.facts(prepared), chosen)
    keep_failure(run, chosen)
    return Debugged(chosen)


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
        fields=thread.fields,
    )


def _standing(association: str) -> str:
    """What somebody is to the repository, for the model: by GitHub's word, not by their own."""
    known = {"OWNER": "owner", "MEMBER": "member", "COLLABORATOR": "collaborator"}
    return known.get(association, "stranger")
