"""Handlers of webhook events: who may ask for what, what it means, what is done.

Each event is handled in one step that may be repeated: the run it starts is keyed by the event's
id, what it says has a marker. Strangers get silence; people who may get an answer, be it help.
"""

from __future__ import annotations

import asyncio

from agent.journal.events import GO_AHEAD, PLAN_AGAIN, ReproductionDeclared
from agent.journal.state import fold
from app.admission import authorization
from app.expiry import pull_requests
from app.github import commands
from app.github.errors import ForgeError, ForgeMissing, InstallationGone
from app.github.forge import Forge
from app.github.records import IssueThread
from app.github.webhook_events import (
    AlertDue,
    AlertFixed,
    Assigned,
    CheckAsked,
    CheckFailed,
    Commented,
    EventSource,
    ExpiryDue,
    Goal,
    IssueClosed,
    Labeled,
    MergeGroupAsked,
    MergeGroupEnded,
    NightDue,
    NightOver,
    OnboardingDue,
    OutcomeDue,
    ProofDue,
    PullChanged,
    PullEnded,
    Pushed,
    Rerun,
    Reviewed,
    StartedBy,
    Trigger,
    WebhookEvent,
    WorkflowEnded,
)
from app.intake import alerts, answers, checks, nightly, onboarding, outcomes, proofs
from app.intake.budgets import give_budget, wanted_budget
from app.intake.context import EventContext, is_permitted
from app.intake.replies import explanation, help_text
from app.outcomes.rows import Outcomes
from app.publishing.publication import kept_change, kept_proof
from app.runs.failures import (
    LONGEST_WAIT_S,
    public_message,
    returns_to_queue,
    wait_before_retry,
)
from app.runs.results import StepJson
from app.runs.services import DurableStep, Services
from app.sanitize.markdown import code, inline, title_text
from app.spending.budgets import MILLION, BadBudget
from app.spending.of_journal import cost_of
from app.storage.outage import is_unavailable
from app.storage.records import check_id_for, run_id_for
from app.telemetry import logs

LONGEST_NAME = 250
"""Characters of a commit's name; GitHub makes no longer branch."""

HELD_BACK = "The repository has not agreed: its onboarding pull request is not merged."
SEARCHING = (
    "I am looking for the commit that broke this, and that run fixes nothing. Ask for a fix when "
    "it has ended: `fix`, or the label anew."
)
SEARCHED_WITHOUT_HINTS = (
    "The reproduction is written, and the search for the commit that broke this only runs it: it "
    "reads no hints. When it has ended, `fix` followed by this text starts a run."
)

_log = logs.get(__name__)


async def handle_event(services: Services, event_id: str, step: DurableStep) -> None:
    """Handle an event once, after earlier ones of the same issue or pull request."""
    inbox = services.inbox

    async def handle_due() -> StepJson:
        for due in inbox.due(event_id):
            inbox.mark_answered(due, await _handle_with_retries(services, due))
        return {"answer": inbox.answer_of(event_id)}

    await step("answer", handle_due)


async def _handle_with_retries(services: Services, event_id: str) -> str:
    event = services.inbox.get(event_id)
    forge = services.forge(event.installation_id, event.repository, event.repository_id)
    tries = 0
    try:
        while True:
            try:
                return await _handle_event(services, event_id, forge, event)
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
                    _log.error("an event failed", delivery=event_id, exc_info=error)
                    why = public_message(error, event_id)
                    await _give_up(services, forge, event_id, event, why)
                    return f"failed: {why}"
                _log.warning(
                    "an event waits", delivery=event_id, why=str(error), seconds=round(wait)
                )
                await asyncio.sleep(wait)
    finally:
        await forge.close()


async def _give_up(
    services: Services, forge: Forge, event_id: str, event: WebhookEvent, why: str
) -> None:
    if isinstance(event, OnboardingDue):
        onboarding.gave_up(services, event, why)
    if isinstance(event, AlertDue):
        alerts.gave_up(services, event, why)
    if isinstance(event, ExpiryDue):
        pull_requests.gave_up(services, event)
    if isinstance(event, NightDue | NightOver):
        nightly.gave_up(services, event, why)
    if isinstance(event, ProofDue):
        await proofs.gave_up(services, forge, event, why)
    if isinstance(event, PullChanged | Commented | Rerun | MergeGroupAsked):
        await proofs.gave_up_asking(services, forge, event_id, why)
    if isinstance(event, CheckAsked):
        try:
            await checks.tell_failure(forge, event, why)
        except ForgeError as error:
            _log.warning("a check's failure could not be told", why=str(error))


async def _handle_event(
    services: Services, event_id: str, forge: Forge, event: WebhookEvent
) -> str:
    inbox = services.inbox
    # About pull requests of ours; what there is to do is for the run itself to find out.
    match event:
        case Reviewed():
            return _wake_run(services, inbox.run_of_pull(event.repository_id, event.pull_number))
        case WorkflowEnded():
            at = event.repository_id
            found = [run_id for number in event.pulls if (run_id := inbox.run_of_pull(at, number))]
            return _wake_run(services, found[0] if found else "")
        case OnboardingDue():
            return await onboarding.propose(services, event_id, forge, event)
        case ProofDue():
            return await proofs.answer(services, forge, event)
        case AlertFixed():
            return await alerts.tell_fixed(services, event)
        case MergeGroupEnded():
            return await proofs.merge_group_ended(services, forge, event) or "nothing to cancel"
        case PullEnded() if said := onboarding.pull_ended(services, event):
            return said
        case PullEnded():
            cancelled = await proofs.pull_ended(services, forge, event)
            run_id = inbox.run_of_pull(event.repository_id, event.pull_number)
            alerts.note_merged(services, event, run_id)
            if run_id and services.store.get_run(run_id).status != "done":
                services.store.request_stop(run_id)
            return cancelled if not run_id and cancelled else _wake_run(services, run_id)
        case PullChanged(action="reopened") if run_id := inbox.run_of_pull(
            event.repository_id, event.pull_number
        ):
            await pull_requests.reopened(services, forge, services.store.get_run(run_id))
            return f"the pull request of run {run_id} is open again"
        case Pushed():
            if event.reverts:
                Outcomes(services.store.database).hurry(event.repository_id, event.branch)
            return _wake_runs_on_branch(services, event)
        case OutcomeDue():
            return await outcomes.look(services, forge, event)
        case IssueClosed():
            return answers.issue_closed(services, event)
        case NightOver():
            return await nightly.report_night(services, forge, event)
    context = EventContext(services, event_id, forge, await services.config(forge))
    if not context.config.enabled:
        if isinstance(event, AlertDue):
            why = context.config.off or "The repository's settings turn the App off."
            alerts.gave_up(services, event, why)
        if isinstance(event, ExpiryDue):
            pull_requests.gave_up(services, event)
        if isinstance(event, NightDue):
            why = context.config.off or "The repository's settings turn the App off."
            nightly.gave_up(services, event, why)
        if isinstance(event, Commented) and context.config.off:
            return await _say_off(context, event)
        return context.config.off or "the repository's settings turn the App off"
    if onboarding.held_back(services, event, context.config):
        if isinstance(event, NightDue):
            nightly.gave_up(services, event, HELD_BACK)
        return "the repository has not agreed: its onboarding pull request is not merged"
    match event:
        case Commented():
            return await _handle_comment(context, event)
        case Assigned():
            thread = await forge.issue(event.issue_number)
            return await _start_run(context, event, thread, "assignment")
        case Labeled():
            if event.trigger.label.casefold() != context.config.label.casefold():
                return "another label"
            thread = await forge.issue(event.trigger.issue_number)
            return await _start_run(context, event, thread, "label", label=event.trigger.label)
        case CheckFailed():
            return await _handle_failed_check(context, event)
        case Rerun():
            return await _handle_rerun(context, event)
        case PullChanged():
            return await proofs.pull_changed(context, event)
        case MergeGroupAsked():
            return await proofs.merge_group_asked(context, event)
        case CheckAsked():
            return await checks.answer_check(services, event_id, forge, context.config, event)
        case AlertDue():
            return await _handle_alert(context, event)
        case ExpiryDue():
            return await pull_requests.look(services, forge, context.config, event)
        case NightDue():
            return await nightly.begin_night(context, event)


def _wake_run(services: Services, run_id: str) -> str:
    if not run_id:
        return "not about a pull request of ours"
    services.inbox.wake(run_id)
    return f"run {run_id} looks at its pull request again"


def _wake_runs_on_branch(services: Services, event: Pushed) -> str:
    runs = []
    for run_id in services.inbox.runs_with_open_pulls(event.repository_id):
        # The default branch as it is called now.
        base = services.store.get_run(run_id).trigger.base_branch or event.default_branch
        if base == event.branch:
            services.inbox.wake(run_id)
            runs.append(run_id)
    return f"runs whose base moved: {', '.join(runs) or 'none'}"


async def _handle_comment(context: EventContext, event: Commented) -> str:
    parsed = commands.parse(event.body, context.services.settings.github_app_slug)
    if parsed is None:
        return await answers.plainly_answered(context, event)
    mentioned = isinstance(parsed, commands.Mention) or (
        isinstance(parsed, commands.Command) and parsed.mentioned
    )
    by: StartedBy = "mention" if mentioned else "command"
    if not authorization.switched_on(by, context.config.triggers):
        return f"the repository's settings turn off {by}s"
    if not await is_permitted(context, event, context.config.permissions.command):
        return "a stranger"
    try:
        await context.forge.react(event.issue_number, "eyes", comment=event.comment_id)
    except InstallationGone:
        raise
    except ForgeMissing:
        return "the comment was deleted in the meantime"
    match parsed:
        case commands.Unknown(word):
            return await _post_help(context, event, f"I do not know {code(word)}.")
        case commands.Command(verb="help"):
            return await _post_help(context, event, "")
        case commands.Command(verb="explain"):
            return await _post_explanation(context, event)
        case commands.Command(verb="stop"):
            return await _stop_run(context, event)
        case commands.Command(verb="publish"):
            return await _publish_again(context, event)
        case commands.Command(verb="check"):
            return await _ask_for_check(context, event)
        case commands.Command(verb="prove"):
            said = await proofs.asked_by_command(context, event)
            return await _post_reply(context, event, said) if said else "it is proven"
        case commands.Command(verb="keep"):
            return await _keep(context, event)
        case commands.Command(verb="reopen"):
            return await _reopen(context, event)
        case commands.Command(verb="answer", text=text):
            said = await answers.answered_by_command(context, event, text)
            return await _post_reply(context, event, said) if said else "answered"
        case commands.Command(verb="hint", text=text):
            return await _pass_hint(context, event, text, by)
        case commands.Command(verb="fix" | "retry" as verb, text=text):
            return await _start_fix(context, event, text, by, again=verb == "retry")
        case commands.Command(verb="plan", text=text):
            return await _plan(context, event, text, by)
        case commands.Command(verb="go", text=text):
            said = await answers.plan_answered(context, event, GO_AHEAD, text)
            return await _post_reply(context, event, said) if said else "approved"
        case commands.Command(verb="bisect", text=text):
            return await _start_bisect(context, event, text, by)
        case commands.Mention(text):
            return await _pass_hint(context, event, text, by, may_start=True)
    return "nothing"


async def _say_off(context: EventContext, event: Commented) -> str:
    """Tell somebody who gives a command that it is not heard."""
    name = context.services.settings.github_app_slug
    command = isinstance(commands.parse(event.body, name), commands.Command)
    if not command or not await is_permitted(context, event, context.config.permissions.command):
        return context.config.off
    return await _post_reply(context, event, context.config.off)


async def _post_help(context: EventContext, event: Commented, why: str) -> str:
    return await _post_reply(
        context, event, help_text(why, context.services.settings.github_app_slug)
    )


async def _post_reply(context: EventContext, event: Commented, text: str) -> str:
    marker = f"<!-- patchwright:answer to={event.comment_id} -->"
    await context.forge.put_comment(event.issue_number, marker, text)
    return text


async def _acknowledge(context: EventContext, event: Commented) -> None:
    """Say that a command is heard: before it is obeyed, which changes what it would meet when it
    is handled again after a crash."""
    await context.forge.react(event.issue_number, "+1", comment=event.comment_id)


def _active_run_about(context: EventContext, event: Commented) -> str:
    """The active run that a comment is about; empty if there is none."""
    run_id = _latest_run_about(context, event)
    if run_id and context.services.store.get_run(run_id).status == "done":
        return ""
    return run_id


def _asked_for_run_about(context: EventContext, event: Commented) -> str:
    """The same, unless it is a night's that has shown nothing yet: that gives way to people."""
    run_id = _active_run_about(context, event)
    run = context.services.store.get_run(run_id) if run_id else None
    unseen = run is not None and run.trigger.by == "schedule" and not run.pull_number
    return "" if unseen else run_id


def _latest_run_about(context: EventContext, event: Commented) -> str:
    """The latest run that a comment can be about; empty when there is none."""
    inbox = context.services.inbox
    if event.is_pull_request and (
        found := inbox.run_of_pull(event.repository_id, event.issue_number)
    ):
        return found
    return inbox.live_run(event.repository_id, event.issue_number) or inbox.latest_run(
        event.repository_id, event.issue_number
    )


async def _stop_run(context: EventContext, event: Commented) -> str:
    run_id = _active_run_about(context, event)
    if not run_id:
        return await _post_reply(context, event, "There is no active run to stop.")
    await _acknowledge(context, event)
    context.services.store.request_stop(run_id)
    return f"run {run_id} is stopped"


async def _publish_again(context: EventContext, event: Commented) -> str:
    """Another try to publish the patch that the latest run kept."""
    services, run_id = context.services, _latest_run_about(context, event)
    if not run_id:
        return await _post_reply(context, event, "There has been no run yet.")
    run = services.store.get_run(run_id)
    if run.status != "done":
        return await _post_reply(context, event, "A run is still active; see its comment.")
    events = [recorded.event for recorded in services.store.events(run_id)]
    if run.pull_request:
        if kept_change(events) is None:
            return await _post_reply(context, event, f"It is published: {run.pull_request}")
        if run.closed:
            return await _post_reply(context, event, "The pull request is closed.")
    elif not kept_proof(events):
        return await _post_reply(
            context, event, "The latest run kept no patch. `retry` starts another run."
        )
    await _acknowledge(context, event)
    if run.pull_request:
        services.inbox.request(run_id, "publish", context.id)
    services.inbox.wake(run_id)
    return f"run {run_id} is published again"


async def _keep(context: EventContext, event: Commented) -> str:
    """Keep a pull request of ours from expiring: a label says so, which people can take off."""
    run_id = context.services.inbox.run_of_pull(event.repository_id, event.issue_number)
    if not run_id:
        return await _post_reply(context, event, "I keep pull requests of mine open. Ask on one.")
    await context.forge.add_labels(event.issue_number, (context.services.settings.keep_label,))
    await _acknowledge(context, event)
    return f"the pull request of run {run_id} stays open"


async def _reopen(context: EventContext, event: Commented) -> str:
    """Open the closed pull request of the run that a comment is about again."""
    services, run_id = context.services, _latest_run_about(context, event)
    run = services.store.get_run(run_id) if run_id else None
    if run is None or not run.pull_number:
        return await _post_reply(context, event, "There is no pull request of mine to open again.")
    if said := await pull_requests.reopen(services, context.forge, run):
        return await _post_reply(context, event, said)
    await _acknowledge(context, event)
    return f"the pull request of run {run_id} is open again"


async def _ask_for_check(context: EventContext, event: Commented) -> str:
    """A check of the repository, as work of its own: it takes minutes."""
    inbox, check_id = context.services.inbox, check_id_for(context.id)
    if [open_id for open_id in inbox.open_checks(event.repository_id) if open_id != check_id]:
        return await _post_reply(
            context, event, "This repository is being checked already. Ask again when that is over."
        )
    await _acknowledge(context, event)
    asked = CheckAsked(
        **event.model_dump(include=set(EventSource.model_fields)),
        issue_number=event.issue_number,
        comment_id=event.comment_id,
    )
    inbox.keep(check_id, "check", asked)
    return f"check {check_id}"


async def _pass_hint(
    context: EventContext, event: Commented, text: str, by: StartedBy, *, may_start: bool = False
) -> str:
    """A hint for a run: for its loop while that is active, else for its pull request."""
    if not text.strip():
        return await _post_help(context, event, "The hint is empty.")
    services, run_id = context.services, _latest_run_about(context, event)
    if run_id and services.store.get_run(run_id).status != "done":
        if _only_runs_the_reproduction(services, run_id):
            return await _post_reply(context, event, SEARCHED_WITHOUT_HINTS)
        await _acknowledge(context, event)
        services.store.add_hint(run_id, event.sender, text, key=context.id)
        if event.is_pull_request:
            number = services.store.get_run(run_id).round
            services.inbox.mark_handled(run_id, number, [f"page:{event.comment_id}"])
        return f"run {run_id} reads it"
    if run_id and event.is_pull_request:
        return _wake_run(services, run_id)
    if may_start:
        return await _start_fix(context, event, text, by)
    return await _post_reply(
        context, event, "There is no active run. `fix` followed by this text starts one."
    )


def _only_runs_the_reproduction(services: Services, run_id: str) -> bool:
    """Whether a run looks for the commit that broke it, with nothing left that a model does."""
    if services.store.get_run(run_id).trigger.goal != "culprit":
        return False
    events = (recorded.event for recorded in services.store.events(run_id))
    return any(isinstance(e, ReproductionDeclared) and e.accepted for e in events)


async def _start_fix(
    context: EventContext, event: Commented, text: str, by: StartedBy, *, again: bool = False
) -> str:
    run_id = _asked_for_run_about(context, event)
    if run_id == run_id_for(event.repository, event.issue_number, context.id):
        return f"run {run_id}: new"  # before a crash
    try:
        budget, text = wanted_budget(context, text)
    except BadBudget as error:
        return await _post_reply(context, event, str(error))
    if run_id:
        if context.services.inbox.searching_run(event.repository_id, event.issue_number):
            return await _post_reply(context, event, SEARCHING)
        said = await give_budget(context, run_id, budget) if budget else ""
        if text.strip():
            return await _pass_hint(context, event, text, by)
        if said:
            return await _post_reply(context, event, said)
        return await _post_reply(context, event, "A run is already active; see its comment.")
    number = event.issue_number
    if event.is_pull_request:
        known = _latest_run_about(context, event)
        if not known:
            return await _post_reply(
                context, event, "I fix issues. Ask on an issue, or open one for this."
            )
        if budget and not again:
            said = await give_budget(context, known, budget)
            if not text.strip():
                return await _post_reply(context, event, said)
        if not again:
            return (
                _wake_run(context.services, known)
                if text.strip()
                else await _post_help(context, event, "")
            )
        number = context.services.store.get_run(known).issue_number
    thread = await context.forge.issue(number)
    if not thread.open:
        return await _post_reply(context, event, "The issue is closed. Open it again first.")
    return await _start_run(context, event, thread, by, hint=text, budget=budget / MILLION)


async def _plan(context: EventContext, event: Commented, text: str, by: StartedBy) -> str:
    """A run that proposes its change first; or another plan of one that waits."""
    run_id = _active_run_about(context, event)
    if run_id == run_id_for(event.repository, event.issue_number, context.id):
        return f"run {run_id}: new"  # before a crash; it may have proposed something since
    if answers.plan_waits(context, event):
        said = await answers.plan_answered(context, event, PLAN_AGAIN, text)
        return await _post_reply(context, event, said) if said else "it plans again"
    try:
        budget, text = wanted_budget(context, text)
    except BadBudget as error:
        return await _post_reply(context, event, str(error))
    if thread := await _thread_for_a_run(context, event, "I plan a fix on its issue. Ask there."):
        asked = budget / MILLION
        return await _start_run(context, event, thread, by, hint=text, goal="plan", budget=asked)
    return "no run"


async def _start_bisect(context: EventContext, event: Commented, text: str, by: StartedBy) -> str:
    """A run that only looks for the commit that broke it."""
    why = "I look for the commit that broke something on its issue. Ask there."
    thread = await _thread_for_a_run(context, event, why)
    if thread is None:
        return "no run"
    good, hint = commands.first_word(text)
    named = good[:LONGEST_NAME]
    return await _start_run(context, event, thread, by, hint=hint, goal="culprit", good=named)


async def _thread_for_a_run(
    context: EventContext, event: Commented, why_not_on_pull: str
) -> IssueThread | None:
    """The issue on which a command may start a run; None where it may not, which is said.

    The run that it started itself, before a crash, is no obstacle: it is found again.
    """
    run_id = _asked_for_run_about(context, event)
    if run_id and run_id != run_id_for(event.repository, event.issue_number, context.id):
        await _post_reply(context, event, "A run is already active; see its comment.")
        return None
    if event.is_pull_request:
        await _post_reply(context, event, why_not_on_pull)
        return None
    thread = await context.forge.issue(event.issue_number)
    if not thread.open:
        await _post_reply(context, event, "The issue is closed. Open it again first.")
        return None
    return thread


async def _post_explanation(context: EventContext, event: Commented) -> str:
    run_id = _latest_run_about(context, event)
    if not run_id:
        return await _post_reply(context, event, "There has been no run yet, so nothing is known.")
    store = context.services.store
    run = store.get_run(run_id)
    events = [recorded.event for recorded in store.events(run_id)]
    attempt = max((e.attempt for e in events if e.type == "attempt_started"), default=1)
    state = fold(e for e in events if e.attempt == attempt)
    return await _post_reply(
        context,
        event,
        explanation(run, state, context.services.settings.public_url, cost_of(events).told()),
    )


async def _handle_failed_check(context: EventContext, event: CheckFailed) -> str:
    services = context.services
    for number in event.pulls:
        if run_id := services.inbox.run_of_pull(event.repository_id, number):
            return _wake_run(services, run_id)
    if not context.config.triggers.failed_check:
        return "the repository's settings turn off runs by failed check"
    for number in event.pulls:
        thread = await context.forge.issue(number)
        if context.config.label.casefold() in (label.casefold() for label in thread.labels):
            fix = services.inbox.latest_run(event.repository_id, number)
            if fix and fix in services.inbox.runs_with_open_pulls(event.repository_id):
                return f"the pull request of run {fix} waits to be merged already"
            pull = await context.forge.pull(number)
            if pull.from_fork or pull.head_sha != event.head_sha:
                return "from a fork, or no longer the pull request's head"
            return await _start_run(
                context, event, thread, "failed_check", base=pull.branch, checks=(event.check_id,)
            )
    if event.head_branch != event.default_branch:
        return "neither on the default branch nor on a pull request with the label"
    # The name alone proves nothing: for a fork's pull request it is the fork's branch.
    if not await context.forge.is_on_branch(event.default_branch, event.head_sha):
        return "a commit that is not on the default branch"
    marker = f"<!-- patchwright:check {_safe_in_marker(event.name)} -->"
    number = await context.forge.open_issue(
        marker,
        title_text(f"The check {event.name} fails on {event.default_branch}"),
        f"The check {inline(event.name)} failed on {event.head_sha[:12]}. The run gets its log.",
    )
    if services.inbox.latest_run(event.repository_id, number):
        return f"issue #{number} is already about it"
    thread = await context.forge.issue(number)
    return await _start_run(context, event, thread, "failed_check", checks=(event.check_id,))


async def _handle_alert(context: EventContext, event: AlertDue) -> str:
    services, config = context.services, context.config
    event = await alerts.placed(context.forge, event)
    if onboarding.held_back(services, event, config):
        alerts.gave_up(services, event, HELD_BACK)
        return HELD_BACK
    written = await alerts.write_issue(context, event)
    said = written.said
    if written.may_run and config.triggers.alert:
        thread = await context.forge.issue(written.number)
        if thread.open:
            said += f"; {await _start_run(context, event, thread, 'alert')}"
    if written.came_back:
        alerts.told_again(services, event)
    return said


async def _handle_rerun(context: EventContext, event: Rerun) -> str:
    if not context.config.triggers.rerun:
        return "the repository's settings turn off runs by re-run"
    if said := await proofs.rerun(context, event):
        return said
    services = context.services
    for run_id in services.inbox.runs_with_open_pulls(event.repository_id):
        if run_id in event.external_id:
            services.inbox.request(run_id, "rerun", context.id)
            return _wake_run(services, run_id)
    return "the check's pull request is closed, or not ours"


async def _start_run(
    context: EventContext,
    event: WebhookEvent,
    thread: IssueThread,
    by: StartedBy,
    *,
    hint: str = "",
    label: str = "",
    base: str = "",
    checks: tuple[int, ...] = (),
    goal: Goal = "fix",
    good: str = "",
    budget: float = 0.0,
) -> str:
    """Start a run, if the repository's settings and the person's role allow it."""
    trigger = Trigger(
        installation_id=event.installation_id,
        repository=event.repository,
        repository_id=event.repository_id,
        default_branch=event.default_branch,
        archived=event.archived,
        sender=event.sender,
        sender_is_bot=event.sender_is_bot,
        sender_id=event.sender_id,
        private=event.private,
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
        goal=goal,
        good=good,
        budget=budget,
    )
    if unwanted := authorization.repository_opts_out(trigger, context.config):
        return unwanted
    if thread.is_pull and by != "failed_check":
        return "a pull request, not an issue"
    minimum = authorization.least_role(by, context.config)
    if minimum is not None and not await is_permitted(context, event, minimum):
        return "a stranger"
    searching = context.services.inbox.searching_run(event.repository_id, thread.number)
    if searching and goal != "culprit":
        marker = f"<!-- patchwright:searching run={searching} -->"
        await context.forge.put_comment(thread.number, marker, SEARCHING)
        return SEARCHING
    accepted = context.services.inbox.start(
        context.id, trigger, model=context.services.settings.profile
    )
    _log.info("run asked for", run=accepted.run_id, how=accepted.how, by=event.sender)
    return f"run {accepted.run_id}: {accepted.how}"


def _safe_in_marker(name: str) -> str:
    """A check's name as a part of a hidden comment."""
    return "".join(c if c.isalnum() or c in " ._-/()" else "_" for c in name)[:100]
