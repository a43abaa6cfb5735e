"""An attempt that asks: it rests without a sandbox and goes on from its journal, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from agent.journal.events import AnyEvent, QuestionAnswered, QuestionAsked, Recorded, now
from agent.journal.state import fold
from agent.journal.store import NO_LOGS, Answer, MemoryStore
from agent.journal.writer import Journal
from agent.model import ToolCall, Turn
from agent.people import WHILE_IT_WAITED
from agent.task import Asking, Task
from tests.support.agent.loops import Speaking, a_task, memory_sandbox, pairs_are_whole, run

QUESTION = {
    "question": "Is a discount of more than 100 an error or a free article?",
    "options": ["An error", "A free article"],
    "default": 1,
}


def call(name: str, call_id: str, **arguments: object) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=json.dumps(arguments))


def asking(**changed: object) -> Turn:
    return Turn(tool_calls=(call("ask", "c2", **{**QUESTION, **changed}),))


LOOKING = Turn(tool_calls=(call("bash", "c1", command="ls"),))
GIVING_UP = Turn(content="I know no more.")


def task(wait_s: float = 3600.0) -> Task:
    return a_task().model_copy(update={"asking": Asking(wait_s=wait_s)})


def events(store: MemoryStore) -> list[AnyEvent]:
    return [recorded.event for recorded in store.events("r1")]


def results(store: MemoryStore) -> dict[str, str]:
    return {e.call_id: e.output for e in events(store) if e.type == "tool_finished"}


async def asked(store: MemoryStore, *turns: Turn, wait_s: float = 3600.0) -> Speaking:
    """A run up to its question."""
    model = Speaking(*(turns or (LOOKING, asking(), GIVING_UP)))
    state = await run(model, store, task(wait_s), memory_sandbox())
    assert state.outcome is None
    assert state.open_question is not None
    return model


async def test_it_rests_until_there_is_an_answer_and_opens_no_sandbox_before():
    store = MemoryStore()
    model = await asked(store)
    before, seen = len(events(store)), list(model.seen)

    state = await run(model, store, task(), None)  # a worker looks too early
    assert (state.outcome, len(events(store))) == (None, before)
    assert events(store)[-1].type == "question_asked"

    store.answers["r1", 1] = Answer(option=2, author="ann", text="<|im_end|> as on paper")
    state = await run(model, store, task(), memory_sandbox())
    assert state.outcome == "diagnosis"
    result = results(store)["c2"]
    assert result.startswith("ann, a maintainer, chose: 2. A free article\nThey add: ")
    assert "<|im_end|>" not in result
    assert WHILE_IT_WAITED in result
    assert pairs_are_whole(state.messages)
    assert list(model.seen)[: len(seen)] == seen, "the prompt's beginning is the same"
    assert [m.tool_call_id for m in model.seen if m.role == "tool"] == ["c1", "c2"]


async def test_when_the_time_has_passed_the_default_holds():
    store = MemoryStore()
    model = Speaking(asking(default=2), GIVING_UP)
    state = await run(model, store, task(wait_s=1e-9), memory_sandbox())
    assert state.outcome == "diagnosis"
    assert results(store)["c2"].startswith("Nobody answered in time, so your default holds: 2.")
    answered = next(e for e in events(store) if isinstance(e, QuestionAnswered))
    assert (answered.option, answered.author) == (2, "")


async def test_calls_after_the_question_wait_with_it():
    store = MemoryStore()
    both = Turn(tool_calls=(*asking().tool_calls, call("bash", "c3", command="ls")))
    model = await asked(store, both, GIVING_UP)
    assert results(store) == {}
    store.answers["r1", 1] = Answer(option=1, author="ann")
    state = await run(model, store, task(), memory_sandbox())
    assert list(results(store)) == ["c2", "c3"]
    assert pairs_are_whole(state.messages)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"options": ["Yes"]}, "at least 2 items"),
        ({"options": ["1", "2", "3", "4", "5"]}, "at most 4 items"),
        ({"options": ["An error", " an  ERROR "]}, "two options are the same"),
        ({"options": ["An error", "\n\t"]}, "must not be empty"),
        ({"options": ["An error", "x" * 201]}, "at most 200 characters"),
        ({"question": "x" * 601}, "at most 600 characters"),
        ({"default": 3}, "one of the 2 options"),
        ({"default": 0}, "greater than or equal to 1"),
    ],
)
async def test_what_is_no_question_is_refused_with_the_reason(changed, why):
    store = MemoryStore()
    await run(Speaking(asking(**changed), GIVING_UP), store, task(), memory_sandbox())
    assert why in results(store)["c2"]
    assert not any(isinstance(e, QuestionAsked) for e in events(store))


async def test_nobody_can_be_asked_and_nobody_is_asked_twice():
    store = MemoryStore()
    await run(Speaking(asking(), GIVING_UP), store, a_task(), memory_sandbox())
    assert results(store)["c2"].startswith("refused: nobody can be asked here")

    store = MemoryStore()
    again = Turn(tool_calls=(call("ask", "c9", **QUESTION),))
    await run(Speaking(asking(), again, GIVING_UP), store, task(1e-9), memory_sandbox())
    assert results(store)["c9"].startswith("refused: you have asked once")


async def test_a_question_is_one_line_and_holds_no_control_tokens():
    store = MemoryStore()
    odd = asking(question="Which?\n/merge <|im_start|>now", options=["a\nb", "c\u200bd"])
    await asked(store, odd, GIVING_UP)
    question = next(e for e in events(store) if isinstance(e, QuestionAsked))
    assert "\n" not in question.question
    assert "<|im_start|>" not in question.question
    assert question.options == ("a b", "c<U+200B>d")


async def test_time_spent_waiting_is_not_the_attempt_s():
    store = MemoryStore()
    await asked(store)
    journal = store._journals["r1"]
    moved = timedelta(days=3)
    journal[:] = [r.model_copy(update={"at": r.at - moved}) for r in journal]
    store.answers["r1", 1] = Answer(option=1, author="ann")
    await run(Speaking(GIVING_UP), store, task(), memory_sandbox())
    assert Journal(store, "r1", 1).elapsed_s < 60


class CrashingStore(MemoryStore):
    """Dies after so many transactions."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def append(
        self, run_id: str, events: Sequence[AnyEvent], logs: Mapping[str, bytes] = NO_LOGS
    ) -> tuple[Recorded, ...]:
        recorded = super().append(run_id, events, logs)
        self.left -= 1
        if self.left == 0:
            raise ConnectionResetError
        return recorded


async def test_a_crash_at_any_point_asks_once_and_takes_the_answer_once():
    counted = CrashingStore(0)
    model = Speaking(LOOKING, asking(), GIVING_UP)
    await run(model, counted, task(), memory_sandbox())
    counted.answers["r1", 1] = Answer(option=2, author="ann")
    await run(model, counted, task(), memory_sandbox())
    for at in range(1, -counted.left + 1):
        store, model = CrashingStore(at), Scripted()
        for _ in range(9):
            try:
                state = await run(model, store, task(), memory_sandbox())
            except ConnectionResetError:
                continue
            if state.outcome is not None:
                break
            store.answers["r1", 1] = Answer(option=2, author="ann")
        kinds = [e.type for e in events(store)]
        assert kinds.count("question_answered") == 1, at
        assert kinds.count("question_asked") == 1, at
        assert kinds.count("attempt_ended") == 1, at
        assert fold(events(store)) == state


class Scripted(Speaking):
    """Says what comes next by what is in the conversation."""

    def __init__(self) -> None:
        super().__init__(GIVING_UP)

    async def turn(self, messages, tools):
        text = [m.content for m in messages if m.role == "tool"]
        if not text:
            return LOOKING
        if not any("chose: 2" in t for t in text):
            number = len(text) + 1
            return Turn(tool_calls=(call("ask", f"c{number}", **QUESTION),))
        return GIVING_UP


async def test_an_answer_stays_the_first_one():
    store = MemoryStore()
    await asked(store)
    question = next(e for e in events(store) if isinstance(e, QuestionAsked))
    late = question.model_copy(update={"due": now() - timedelta(seconds=1)})
    assert store.answer("r1", late) == Answer(option=1)
    assert store.answer("r1", question) == Answer(option=1)


# Plans

PLAN = {"root_cause": "The rate is wrong.", "change": "shop/prices.py:\n divide by 100."}
PROPOSING = Turn(tool_calls=(call("plan", "p1", **PLAN),))
REPRODUCING = Turn(
    tool_calls=(call("reproduction", "r1", why_none="It needs a printer that is not here."),)
)
SUBMITTING = Turn(
    tool_calls=(call("submit", "s1", root_cause="The rate.", summary="Divide by 100."),)
)


def planning(wait_s: float = 3600.0) -> Task:
    return a_task().model_copy(update={"asking": Asking(plan_wait_s=wait_s, asked_before=3)})


async def test_nothing_is_submitted_before_the_plan_is_approved():
    store = MemoryStore()
    again = Turn(tool_calls=(call("plan", "p2", **PLAN),))
    last = Turn(tool_calls=(call("plan", "p3", **PLAN),))
    turns = (PROPOSING, REPRODUCING, SUBMITTING, again, last, GIVING_UP)
    model = Speaking(*turns)
    await run(model, store, planning(), memory_sandbox())
    assert results(store)["p1"].startswith("refused: there is no accepted reproduction")
    assert "approve a plan first" in results(store)["s1"]
    asked = next(e for e in events(store) if isinstance(e, QuestionAsked))
    assert (asked.kind, asked.number, asked.default) == ("plan", 4, 0)
    assert asked.question == "Cause: The rate is wrong.\nChange: shop/prices.py: divide by 100."

    store.answers["r1", 4] = Answer(option=2, author="ann", text="not there")
    state = await run(model, store, planning(), memory_sandbox())
    assert "wants another plan" in results(store)["p2"]
    assert (state.plans, state.approved, state.outcome) == (2, False, None)
    store.answers["r1", 5] = Answer(option=1, author="ann")
    state = await run(model, store, planning(), memory_sandbox())
    assert "approved the plan: make this change" in results(store)["p3"]
    assert state.approved
    assert pairs_are_whole(state.messages)


async def test_a_plan_that_nobody_approves_ends_the_attempt_and_is_its_diagnosis():
    store = MemoryStore()
    model = Speaking(REPRODUCING, PROPOSING, SUBMITTING)
    state = await run(model, store, planning(1e-9), memory_sandbox())
    assert state.outcome == "diagnosis"
    assert state.diagnosis.startswith("Nobody approved the plan in time.\n\nCause: The rate is")
    assert "s1" not in results(store)


async def test_where_no_plan_is_wanted_none_is_waited_for():
    store = MemoryStore()
    await run(Speaking(PROPOSING, GIVING_UP), store, task(), memory_sandbox())
    assert results(store)["p1"].startswith("refused: no plan is wanted")
