"""A run's question to people: asked on its issue, waited for without a worker, and answered.

The journal has the question and the answer that the attempt went on with. Every function may be
called again after a crash: the comment is found by its marker, the first answer stays.
"""

from __future__ import annotations

from agent.errors import RunStopped
from agent.journal.events import QuestionAsked
from agent.journal.store import Answer
from agent.task import Asking
from app.github.errors import ConversationLocked
from app.publishing.comments import question_comment
from app.publishing.facts import RunFacts
from app.publishing.markers import question_marker
from app.repo_config.effective import EffectiveConfig
from app.runs import failures
from app.runs.active_run import ActiveRun
from app.runs.attempts import AttemptPlan
from app.runs.failures import AwaitingAnswer
from app.runs.results import Failed
from app.storage.questions import KeptQuestion, Questions


def asking(run: ActiveRun, config: EffectiveConfig, plan: AttemptPlan) -> Asking:
    """Whether the attempts of a plan may ask: one of several would hold up the others, and a run
    asks once, whichever of its attempts it was. Nor is a plan approved twice."""
    if plan.attempts > 1:
        return Asking()
    before = [run.state(number) for number in range(1, plan.first)]
    may_ask = not any(state.asked_once for state in before)
    must_plan = wants_plan(run, config) and not any(state.approved for state in before)
    return Asking(
        wait_s=config.question_s if may_ask else 0.0,
        plan_wait_s=config.plan_s if must_plan else 0.0,
        asked_before=max((state.asked.number for state in before if state.asked), default=0),
    )


def wants_plan(run: ActiveRun, config: EffectiveConfig) -> bool:
    """Whether a change has to be approved before it is made."""
    return run.record.trigger.goal == "plan" or config.approval == "plan"


async def wait_for_answer(
    run: ActiveRun, config: EffectiveConfig, facts: RunFacts, number: int
) -> None:
    """Ask what an attempt left open, and give the worker back; return if it left nothing open.

    Raises `AwaitingAnswer`.
    """
    state = run.state(number)
    asked = state.open_question
    if asked is None:
        return
    record = run.record
    kept = _questions(run).put(record.id, record.repository_id, record.issue_number, asked)
    if kept.is_open:
        try:
            await _tell(run, config, facts, kept)
        except ConversationLocked:
            # Nobody can answer there, nor approve.
            _questions(run).answer(record.id, asked.number, Answer(option=asked.default), "")
        else:
            await run.update_status("debugging", facts, state)
    raise AwaitingAnswer(asked)


async def go_on(run: ActiveRun, config: EffectiveConfig, facts: RunFacts) -> Failed | None:
    """Before an attempt goes on: say what was answered. `Failed` where its issue is over.

    While there is no answer it asks on, for a crash may have come before anybody was asked.
    Raises `AwaitingAnswer` then, and `RunStopped` when somebody stopped it.
    """
    asked = _asked(run)
    if asked is None:
        return None
    is_open = run.state(asked.attempt).open_question is not None
    if is_open and (why := run.store.stop_reason(run.record.id)):
        raise RunStopped(why)
    if is_open and (ending := await _ending(run)):
        return ending.result
    if is_open and run.store.answer(run.record.id, asked) is None:
        await wait_for_answer(run, config, facts, asked.attempt)
    kept = _questions(run).of_run(run.record.id)
    if kept is not None and kept.comment_id:
        await run.best_effort(_tell(run, config, facts, kept))
    return None


async def retract(run: ActiveRun) -> None:
    """The run is over: a question that is open still waits for nothing any more."""
    kept = _questions(run).end(run.record.id)
    if kept is not None and kept.comment_id:
        await run.best_effort(_told_as_over(run, kept))


async def _told_as_over(run: ActiveRun, kept: KeptQuestion) -> None:
    await _tell(run, await run.services.config(run.forge), run.facts(), kept)


async def _tell(
    run: ActiveRun, config: EffectiveConfig, facts: RunFacts, kept: KeptQuestion
) -> None:
    run.check_lease()
    body = question_comment(
        facts,
        kept,
        name=run.services.settings.github_app_slug,
        role=config.permissions.command,
    )
    marker = question_marker(run.record.id, kept.asked.number)
    comment = await run.forge.put_comment(run.record.issue_number, marker, body)
    if comment.id != kept.comment_id:
        _questions(run).set_comment(run.record.id, kept.asked.number, comment.id)


async def _ending(run: ActiveRun) -> failures.StopReason | None:
    thread = await run.forge.issue(run.record.issue_number)
    return failures.stop_reason_for_issue(
        thread,
        await run.repository(),
        name=run.record.repository,
        number=run.record.issue_number,
    )


def _asked(run: ActiveRun) -> QuestionAsked | None:
    """The run's last question, by its journal."""
    asked = [event for event in run.events() if isinstance(event, QuestionAsked)]
    return asked[-1] if asked else None


def _questions(run: ActiveRun) -> Questions:
    return Questions(run.store.database)
