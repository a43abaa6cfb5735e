"""What people say to an attempt: their notes, and the answers to what it asked them."""

from __future__ import annotations

import hashlib

from agent.decisions.budget import remaining
from agent.journal.events import (
    GO_AHEAD,
    AttemptEnded,
    NoteAdded,
    QuestionAnswered,
    QuestionAsked,
    ToolFinished,
)
from agent.journal.writer import Journal
from agent.task import Budget
from agent.text.control_tokens import neutralise
from agent.text.truncate import log_id_of

WHILE_IT_WAITED = (
    "The tree is as it was when you asked. If the wait was long the sandbox is another one: "
    "programs that ran, shell variables and files outside the tree are gone."
)


def take_hints(journal: Journal) -> None:
    """Bring people's new notes into the conversation."""
    for hint in journal.store.hints(journal.run_id, after=journal.state.last_hint):
        journal.append(
            NoteAdded(
                source="human", text=neutralise(hint.text), author=hint.author, hint_id=hint.id
            )
        )


def take_answer(journal: Journal, budget: Budget) -> bool:
    """Make the answer to an open question the result of its call; False: it is still awaited."""
    asked = journal.state.open_question
    if asked is None:
        return True
    answer = journal.store.answer(journal.run_id, asked)
    if answer is None:
        return False
    answered = QuestionAnswered(
        number=asked.number,
        option=answer.option,
        author=answer.author,
        text=neutralise(answer.text),
    )
    log_id, text = log_id_of(asked.call_id), answer_for_model(asked, answered)
    journal.append(
        answered,
        ToolFinished(
            call_id=asked.call_id,
            name="plan" if asked.kind == "plan" else "ask",
            status="ok",
            output=f"{text}\n{remaining(journal.state, budget)}",
            log_id=log_id,
            digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        ),
        *unapproved(asked, answered),
        logs={log_id: text.encode()},
    )
    return True


def unapproved(asked: QuestionAsked, answered: QuestionAnswered) -> tuple[AttemptEnded, ...]:
    """The end of an attempt whose plan nobody approved in time; nothing for any other answer."""
    if answered.option:
        return ()
    why = f"Nobody approved the plan in time.\n\n{asked.question}"
    return (AttemptEnded(outcome="diagnosis", diagnosis=why),)


def answer_for_model(asked: QuestionAsked, answered: QuestionAnswered) -> str:
    """The result of the call that asked."""
    if asked.kind == "plan":
        return _answer_to_plan(answered)
    chosen = f"{answered.option}. {asked.options[answered.option - 1]}"
    if not answered.author:
        said = f"Nobody answered in time, so your default holds: {chosen}"
    else:
        said = f"{answered.author}, a maintainer, chose: {chosen}"
    if answered.text:
        said += f"\nThey add: {answered.text}"
    return f"{said}\n{WHILE_IT_WAITED}"


def _answer_to_plan(answered: QuestionAnswered) -> str:
    if not answered.option:
        return "Nobody approved the plan in time."
    approved = answered.option == GO_AHEAD
    said = f"{answered.author}, a maintainer, " + (
        "approved the plan: make this change and submit it."
        if approved
        else "wants another plan. Do not change the code yet."
    )
    if answered.text:
        said += f"\nThey add: {answered.text}"
    return f"{said}\n{WHILE_IT_WAITED}"
