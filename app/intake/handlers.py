"""Answers to what people and other Apps ask: who may, what it means, what is done.

Each ask is answered in one step that may be repeated: what it starts has its ask's id for a key,
what it says has a marker. Strangers get silence; people who may get an answer, be it help.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from agent.journal.state import fold
from app.admission import authorization
from app.github import commands
from app.github.forge import Forge
from app.github.records import IssueThread, Role
from app.github.webhook_events import (
    Assigned,
    CheckFailed,
    Commented,
    Labeled,
    PullEnded,
    Pushed,
    Rerun,
    Reviewed,
    StartedBy,
    Trigger,
    WebhookEvent,
)
from app.intake.replies import explanation, help_text
from app.repo_config.effective import EffectiveConfig
from app.runs.failures import (
    LONGEST_WAIT_S,
    public_message,
    returns_to_queue,
    wait_before_retry,
)
from app.runs.results import StepJson
from app.runs.services import Services, Step
from app.sanitize.markdown import code, inline, title_text
from app.storage.outage import is_unavailable
from app.telemetry import logs

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class EventContext:
    """An ask in hand."""

    services: Services
    id: str
    forge: Forge
    terms: EffectiveConfig


async def answer(services: Services, ask_id: str, step: Step) -> None:
    """Answer an ask, once, and before it what was said earlier in its place and is still open."""
    inbox = services.inbox

    async def act() -> StepJson:
        for due in inbox.due(ask_id):
            inbox.answered(due, await _answer_with_retries(services, due))
        return {"answer": inbox.answer_of(ask_id)}

    await step("answer", act)


async def _answer_with_retries(services: Services, ask_id: str) -> str:
    ask = services.inbox.get(ask_id)
    forge = services.forge(ask.installation_id, ask.repository)
    tries = 0
    try:
        while True:
            try:
                return await _answer(services, ask_id, forge, ask)
            except Exception as error:
                if is_unavailable(error):
                    raise  # the database: it is waited for around the step
                tries += 1
                wait = wait_before_retry(error, tries, services.patience_s)
                if wait is None and returns_to_queue(error):
                    # What a person said is not lost to an outage, however long it lasts.
                    asked_for = getattr(error, "retry_after", 0.0)
                    wait = min(max(services.patience_s[-1], asked_for), LONGEST_WAIT_S)
                if wait is None:
                    _log.error("an ask failed", ask=ask_id, exc_info=error)
                    return f"failed: {public_message(error, ask_id)}"
                _log.warning("an ask waits", ask=ask_id, why=str(error), seconds=round(wait))
                await asyncio.sleep(wait)
    finally:
        await forge.close()


async def _answer(services: Services, ask_id: str, forge: Forge, ask: WebhookEvent) -> str:
    inbox = services.inbox
    # About pull requests of ours; what there is to do is for the run itself to find out.
    match ask:
        case Reviewed():
            return _woken(services, inbox.run_of_pull(ask.repository, ask.pull_number))
        case PullEnded():
            run_id = inbox.run_of_pull(ask.repository, ask.pull_number)
            if run_id and services.store.get_run(run_id).status != "done":
                services.store.request_stop(run_id)
            return _woken(services, run_id)
        case Pushed():
            return _base_moved(services, ask)
    asked = EventContext(services, ask_id, forge, await services.terms(forge))
    if not asked.terms.enabled:
        return "the repository's settings turn the App off"
    match ask:
        case Commented():
            return await _commented(asked, ask)
        case Assigned():
            thread = await forge.issue(ask.issue_number)
            return await _start(asked, ask, thread, "assignment")
        case Labeled():
            if ask.trigger.label.casefold() != asked.terms.label.casefold():
                return "another label"
            thread = await forge.issue(ask.trigger.issue_number)
            return await _start(asked, ask, thread, "label", label=ask.trigger.label)
        case CheckFailed():
            return await _check_failed(asked, ask)
        case Rerun():
            return await _rerun(asked, ask)


def _woken(services: Services, run_id: str) -> str:
    if not run_id:
        return "not about a pull request of ours"
    services.inbox.wake(run_id)
    return f"run {run_id} looks at its pull request again"


def _base_moved(services: Services, ask: Pushed) -> str:
    runs = []
    for run_id in services.inbox.runs_with_open_pulls(ask.repository):
        trigger = services.store.get_run(run_id).trigger
        if (trigger.base_branch or trigger.default_branch) == ask.branch:
            services.inbox.wake(run_id)
            runs.append(run_id)
    return f"runs whose base moved: {', '.join(runs) or 'none'}"


async def _commented(asked: EventContext, ask: Commented) -> str:
    said = commands.parse(ask.body, asked.services.settings.github_app_slug)
    if said is None:
        return "not addressed to us"
    mentioned = isinstance(said, commands.Mention) or (
        isinstance(said, commands.Command) and said.mentioned
    )
    by: StartedBy = "mention" if mentioned else "command"
    if not authorization.switched_on(by, asked.terms.triggers):
        return f"the repository's settings turn off {by}s"
    if not await _is_permitted(asked, ask.sender, asked.terms.permissions.command):
        return "a stranger"
    await asked.forge.react(ask.issue_number, "eyes", comment=ask.comment_id)
    match said:
        case commands.Unknown(word):
            return await _help(asked, ask, f"I do not know {code(word)}.")
        case commands.Command(verb="help"):
            return await _help(asked, ask, "")
        case commands.Command(verb="explain"):
            return await _explain(asked, ask)
        case commands.Command(verb="stop"):
            return await _stop(asked, ask)
        case commands.Command(verb="hint", text=text):
            return await _hint(asked, ask, text, by)
        case commands.Command(verb="fix" | "retry" as verb, text=text):
            return await _fix(asked, ask, text, by, again=verb == "retry")
        case commands.Mention(text):
            return await _hint(asked, ask, text, by, may_start=True)
    return "nothing"


async def _help(asked: EventContext, ask: Commented, why: str) -> str:
    return await _say(asked, ask, help_text(why, asked.services.settings.github_app_slug))


async def _say(asked: EventContext, ask: Commented, text: str) -> str:
    marker = f"<!-- patchwright:answer to={ask.comment_id} -->"
    await asked.forge.put_comment(ask.issue_number, marker, text)
    return text


def _live(asked: EventContext, ask: Commented) -> str:
    """The run that is under way and that a comment is about; empty when there is none."""
    run_id = _known(asked, ask)
    if run_id and asked.services.store.get_run(run_id).status == "done":
        return ""
    return run_id


def _known(asked: EventContext, ask: Commented) -> str:
    """The latest run that a comment can be about; empty when there is none."""
    inbox = asked.services.inbox
    if ask.is_pull_request and (found := inbox.run_of_pull(ask.repository, ask.issue_number)):
        return found
    return inbox.live_run(ask.repository, ask.issue_number) or inbox.latest_run(
        ask.repository, ask.issue_number
    )


async def _stop(asked: EventContext, ask: Commented) -> str:
    run_id = _live(asked, ask)
    if not run_id:
        return await _say(asked, ask, "There is no run under way that could be stopped.")
    asked.services.store.request_stop(run_id)
    await asked.forge.react(ask.issue_number, "+1", comment=ask.comment_id)
    return f"run {run_id} is stopped"


async def _hint(
    asked: EventContext, ask: Commented, text: str, by: StartedBy, *, may_start: bool = False
) -> str:
    """Words for a run: for its loop while that is at work, else for its pull request."""
    if not text.strip():
        return await _help(asked, ask, "There are no words in it that could help.")
    services, run_id = asked.services, _known(asked, ask)
    if run_id and services.store.get_run(run_id).status != "done":
        services.store.add_hint(run_id, ask.sender, text, key=asked.id)
        if ask.is_pull_request:
            number = services.store.get_run(run_id).round
            services.inbox.take_up(run_id, number, [f"page:{ask.comment_id}"])
        await asked.forge.react(ask.issue_number, "+1", comment=ask.comment_id)
        return f"run {run_id} reads it"
    if run_id and ask.is_pull_request:
        return _woken(services, run_id)
    if may_start:
        return await _fix(asked, ask, text, by)
    return await _say(asked, ask, "There is no run under way. `fix` with these words starts one.")


async def _fix(
    asked: EventContext, ask: Commented, text: str, by: StartedBy, *, again: bool = False
) -> str:
    run_id = _live(asked, ask)
    if run_id:
        if text.strip():
            return await _hint(asked, ask, text, by)
        return await _say(asked, ask, "A run is under way already; see its comment.")
    number = ask.issue_number
    if ask.is_pull_request:
        known = _known(asked, ask)
        if not known:
            return await _say(asked, ask, "I fix issues. Ask on an issue, or open one for this.")
        if not again:
            return _woken(asked.services, known) if text.strip() else await _help(asked, ask, "")
        number = asked.services.store.get_run(known).issue_number
    thread = await asked.forge.issue(number)
    if not thread.open:
        return await _say(asked, ask, "The issue is closed. Open it again first.")
    return await _start(asked, ask, thread, by, hint=text)


async def _explain(asked: EventContext, ask: Commented) -> str:
    run_id = _known(asked, ask)
    if not run_id:
        return await _say(asked, ask, "There was no run yet; nothing is known.")
    store = asked.services.store
    run = store.get_run(run_id)
    events = [recorded.event for recorded in store.events(run_id)]
    attempt = max((e.attempt for e in events if e.type == "attempt_started"), default=1)
    state = fold(e for e in events if e.attempt == attempt)
    return await _say(asked, ask, explanation(run, state, asked.services.settings.public_url))


async def _check_failed(asked: EventContext, ask: CheckFailed) -> str:
    services = asked.services
    for number in ask.pulls:
        if run_id := services.inbox.run_of_pull(ask.repository, number):
            return _woken(services, run_id)
    if not asked.terms.triggers.failed_check:
        return "the repository's settings turn off runs by failed check"
    for number in ask.pulls:
        thread = await asked.forge.issue(number)
        if asked.terms.label.casefold() in (label.casefold() for label in thread.labels):
            fix = services.inbox.latest_run(ask.repository, number)
            if fix and fix in services.inbox.runs_with_open_pulls(ask.repository):
                return f"the pull request of run {fix} waits to be merged already"
            pull = await asked.forge.pull(number)
            if pull.from_fork or pull.head_sha != ask.head_sha:
                return "from a fork, or not the pull request's head any more"
            return await _start(
                asked, ask, thread, "failed_check", base=pull.branch, checks=(ask.check_id,)
            )
    if ask.head_branch != ask.default_branch:
        return "neither on the default branch nor on a pull request with the label"
    # The name alone proves nothing: for a fork's pull request it is the fork's branch.
    if not await asked.forge.is_on(ask.default_branch, ask.head_sha):
        return "a commit that is not on the default branch"
    marker = f"<!-- patchwright:check {_plain(ask.name)} -->"
    number = await asked.forge.open_issue(
        marker,
        title_text(f"The check {ask.name} fails on {ask.default_branch}"),
        f"The check {inline(ask.name)} failed on {ask.head_sha[:12]}. Its log goes to the run.",
    )
    if services.inbox.latest_run(ask.repository, number):
        return f"issue #{number} is about it already"
    thread = await asked.forge.issue(number)
    return await _start(asked, ask, thread, "failed_check", checks=(ask.check_id,))


async def _rerun(asked: EventContext, ask: Rerun) -> str:
    if not asked.terms.triggers.rerun:
        return "the repository's settings turn off runs by re-run"
    services = asked.services
    for run_id in services.inbox.runs_with_open_pulls(ask.repository):
        if run_id in ask.external_id:
            services.inbox.request(run_id, f"rerun:{asked.id}"[:64])
            return _woken(services, run_id)
    return "the check's pull request is closed, or not ours"


async def _start(
    asked: EventContext,
    ask: WebhookEvent,
    thread: IssueThread,
    by: StartedBy,
    *,
    hint: str = "",
    label: str = "",
    base: str = "",
    checks: tuple[int, ...] = (),
) -> str:
    """Start a run, if the repository's settings and the person's role allow it."""
    trigger = Trigger(
        installation_id=ask.installation_id,
        repository=ask.repository,
        repository_id=ask.repository_id,
        default_branch=ask.default_branch,
        archived=ask.archived,
        sender=ask.sender,
        sender_is_bot=ask.sender_is_bot,
        issue_number=thread.number,
        issue_title=thread.title,
        issue_body=thread.body,
        issue_author=thread.author,
        issue_open=thread.open,
        is_pull_request=thread.is_pull,
        label=label,
        by=by,
        hint=hint,
        base_branch=base,
        checks=checks,
    )
    if unwanted := authorization.repository_opts_out(trigger, asked.terms):
        return unwanted
    if thread.is_pull and by != "failed_check":
        return "a pull request, not an issue"
    minimum = authorization.least_role(by, asked.terms)
    if minimum is not None and not await _is_permitted(asked, ask.sender, minimum):
        return "a stranger"
    accepted = asked.services.inbox.start(asked.id, trigger, model=asked.services.settings.profile)
    _log.info("run asked for", run=accepted.run_id, how=accepted.how, by=ask.sender)
    return f"run {accepted.run_id}: {accepted.how}"


async def _is_permitted(asked: EventContext, person: str, minimum: Role) -> bool:
    permission = await asked.forge.permission(person)
    return permission.at_least(minimum)


def _plain(name: str) -> str:
    """A check's name as a part of a hidden comment."""
    return "".join(c if c.isalnum() or c in " ._-/()" else "_" for c in name)[:100]
