"""Answers to a run's question: in a comment, by those who may give commands.

A comment counts as it was when it was posted: editing one answers nothing and takes nothing back.
"""

from __future__ import annotations

from agent.journal.store import Answer
from app.admission import authorization
from app.github import commands
from app.github.errors import ForgeMissing, InstallationGone
from app.github.webhook_events import Commented, IssueClosed
from app.intake.context import EventContext, is_permitted
from app.runs.services import Services
from app.sanitize.markdown import Markdown, inline
from app.storage.questions import KeptQuestion, Questions
from app.storage.store import SqlStore

NO_QUESTION = "No question is open here."
NO_PLAN = "No plan waits here."
PLAN_WAITS = "A plan waits: `go` approves it, `plan` followed by what you miss asks for another."


def is_plain_answer(store: SqlStore, event: Commented) -> bool:
    """Whether a comment is nothing but an answer to the open question of its issue. Blocks."""
    if len(event.body) > commands.LONGEST_ANSWER:
        return False
    kept = Questions(store.database).open_at(event.repository_id, event.issue_number)
    return kept is not None and _plain_option(kept, event) > 0


async def plainly_answered(context: EventContext, event: Commented) -> str:
    """Take an answer that is not addressed to the App. Strangers get silence."""
    kept = _open_question(context, event)
    option = _plain_option(kept, event) if kept else 0
    if kept is None or not option:
        return "not addressed to us"
    if not authorization.switched_on("command", context.config.triggers):
        return "the repository's settings turn off commands"
    if not await is_permitted(context, event, context.config.permissions.command):
        return "a stranger"
    said = await _take(context, event, kept, option, "")
    return said or f"run {kept.run_id} goes on"


async def answered_by_command(context: EventContext, event: Commented, text: str) -> str:
    """Take the answer of a command by somebody who may give it; returns what is to be said."""
    kept = _open_question(context, event)
    if kept is None:
        return _nothing_open(context, event)
    if kept.asked.kind == "plan":
        return PLAN_WAITS
    option, besides = commands.answer_in(text, kept.asked.options)
    if not option:
        return f"Answer with a number from 1 to {len(kept.asked.options)}."
    return await _take(context, event, kept, option, besides)


async def plan_answered(context: EventContext, event: Commented, option: int, text: str) -> str:
    """Approve the plan that waits, or ask for another one; returns what is to be said."""
    kept = _open_question(context, event)
    if kept is None or kept.asked.kind != "plan":
        return NO_PLAN
    return await _take(context, event, kept, option, text)


def plan_waits(context: EventContext, event: Commented) -> bool:
    """Whether there is a plan to answer on the issue of a comment."""
    kept = _open_question(context, event)
    return kept is not None and kept.asked.kind == "plan"


def issue_closed(services: Services, event: IssueClosed) -> str:
    """Let a run that waits see that its issue is closed."""
    questions = Questions(services.store.database)
    kept = questions.open_at(event.repository_id, event.issue_number)
    if kept is None:
        return "no question is open there"
    questions.wake(kept.run_id)
    return f"run {kept.run_id} looks at its issue"


async def _take(
    context: EventContext, event: Commented, kept: KeptQuestion, option: int, besides: str
) -> str:
    """Take an answer if it is the first; returns what is to be said if it is not."""
    if event.comment_id < kept.comment_id:
        return NO_QUESTION  # said before it was asked
    questions = Questions(context.services.store.database)
    answer = Answer(option=option, author=event.sender, text=besides)
    if not questions.answer(kept.run_id, kept.asked.number, answer, context.id):
        return _nothing_open(context, event)
    try:
        await context.forge.react(event.issue_number, "+1", comment=event.comment_id)
    except InstallationGone:
        raise
    except ForgeMissing:
        pass  # it was said all the same
    return ""


def _plain_option(kept: KeptQuestion, event: Commented) -> int:
    """The option that a comment names without a word to the App; a plan takes a command."""
    if kept.asked.kind == "plan":
        return 0
    return commands.plain_answer(event.body, kept.asked.options)


def _open_question(context: EventContext, event: Commented) -> KeptQuestion | None:
    """The issue's open question, or the one that this very comment answered before a crash."""
    questions = Questions(context.services.store.database)
    return questions.answered_by(context.id) or questions.open_at(
        event.repository_id, event.issue_number
    )


def _nothing_open(context: EventContext, event: Commented) -> Markdown:
    inbox = context.services.inbox
    run_id = inbox.latest_run(event.repository_id, event.issue_number)
    kept = Questions(context.services.store.database).of_run(run_id) if run_id else None
    if kept is None or kept.answer is None:
        return Markdown(NO_QUESTION)
    option = kept.asked.options[kept.answer.option - 1]
    if kept.asked.kind == "plan":
        return Markdown(NO_PLAN)
    if not kept.answer.author:
        return Markdown(f"{NO_QUESTION} The default was taken: {inline(option)}")
    by = inline(kept.answer.author)
    return Markdown(f"{NO_QUESTION} The last one was answered by {by}: {inline(option)}")
