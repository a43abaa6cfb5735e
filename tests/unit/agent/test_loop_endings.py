"""How attempts end early or go on: stops, budgets, commands that cannot run, a gate that dies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from agent.errors import BudgetUsedUp
from agent.gate.judge import Submission
from agent.journal.events import STYLE, Check, GateJudged
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.model import Message, Money, ToolCall, ToolSpec, Turn, Usage
from agent.models.offline.search import ASKED_ABOUT_STYLE
from agent.session import JudgeWith, debug
from agent.testing.suite import TestsCannotRun
from sandbox.errors import SandboxGone
from sandbox.protocol import OpenSandbox
from tests.doubles.memory_sandbox import MemorySandbox
from tests.doubles.seeded_policy import FILES
from tests.support.agent.loops import (
    Speaking,
    UnclosedSandbox,
    a_task,
    memory_sandbox,
    pairs_are_whole,
    run,
)


async def test_a_stop_ends_the_first_run_of_the_tests_too():
    slow = {**FILES, "tests/test_slow.py": "import time\n\n\ndef test_a():\n    time.sleep(900)\n"}
    sandbox = UnclosedSandbox(slow)

    class Stopping(MemoryStore):
        def stop_reason(self, run_id: str) -> str:
            return "Stop." if any(sandbox.scratch.glob("tests-*/start")) else ""

    state = await run(Speaking(Turn(content="no")), Stopping(), a_task(), sandbox)
    assert (state.outcome, state.diagnosis) == ("stopped", "Stop.")
    assert state.started is None, "the attempt's first run of the tests was still going on"
    await sandbox.really_close()


@pytest.mark.parametrize("preserves", [False, True])
async def test_an_answer_without_a_call_stays_only_where_no_thinking_is_lost(preserves: bool):
    cut_off = Turn(content="So far", reasoning="r", finish_reason="length")
    answers = (Turn(content="I ask back.", reasoning="Why?"), cut_off, Turn(content="I know."))
    model = Speaking(*answers, preserves_thinking=preserves)
    state = await run(model, MemoryStore(), a_task(), memory_sandbox())
    assert state.outcome == "diagnosis"
    kept = [(m.content, m.reasoning) for m in model.seen if m.role == "assistant"]
    assert kept == ([("I ask back.", "Why?")] if preserves else [])
    notes = " ".join(m.content for m in model.seen if m.role == "user")
    assert ("You had said: I ask back." in notes) is not preserves
    assert "You had said: So far" in notes


async def test_a_run_that_was_stopped_while_it_waited_opens_no_sandbox():
    store = MemoryStore()
    store.stopped.add("r1")
    state = await run(Speaking(Turn(content="no")), store, a_task())
    assert state.outcome == "stopped"
    assert [r.event.type for r in store.events("r1")] == ["attempt_ended"]


async def test_a_test_command_that_cannot_be_run_is_said_at_once():
    task = a_task().model_copy(update={"test_command": "no-such-program --all"})
    with pytest.raises(TestsCannotRun, match="`no-such-program --all` cannot be run"):
        await run(Speaking(Turn(content="no")), MemoryStore(), task)


async def test_one_turn_cannot_hold_more_calls_than_the_budget():
    calls = tuple(
        ToolCall(id=f"functions.bash:{n}", name="bash", arguments=f'{{"command": "echo {n}"}}')
        for n in range(9)
    )
    store = MemoryStore()
    state = await run(Speaking(Turn(tool_calls=calls)), store, a_task(calls=5), memory_sandbox())
    done = [r.event for r in store.events("r1") if r.event.type == "tool_finished"]
    assert [e.status for e in done] == ["ok"] * 5 + ["refused"] * 4
    assert "the budget of 5 tool calls is used up" in done[-1].output
    assert pairs_are_whole(state.messages)
    assert state.outcome == "diagnosis"


async def test_an_attempt_ends_where_the_money_does():
    class Poor(Speaking):
        async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
            if any(message.role == "tool" for message in messages):
                raise BudgetUsedUp("the run's budget of 5.00 EUR was used up")
            return await super().turn(messages, tools)

    call = ToolCall(id="functions.bash:0", name="bash", arguments='{"command": "echo hi"}')
    cost = Money(amount=5.0, currency="EUR")
    store = MemoryStore()
    model = Poor(Turn(tool_calls=(call,), cost=cost))
    state = await run(model, store, a_task(), memory_sandbox())
    assert state.outcome == "diagnosis"
    assert state.diagnosis == (
        "No proven fix was found before the run's budget of 5.00 EUR was used up."
    )
    assert [r.event.cost for r in store.events("r1") if r.event.type == "model_turned"] == [cost]


async def test_a_turn_ends_with_the_time_of_the_attempt():
    class Endless(Speaking):
        cancelled = False

        async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
            raise AssertionError

    model = Endless()
    state = await run(model, MemoryStore(), a_task(wall_s=0.3), memory_sandbox())
    assert model.cancelled, "the server still worked for nobody"
    assert state.outcome == "diagnosis"
    assert "before the time limit of 0.3 seconds is reached" in state.diagnosis


async def test_a_time_limit_of_the_models_own_is_an_error_as_before():
    class Failing(Speaking):
        async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
            raise TimeoutError("of the model")

    with pytest.raises(TimeoutError, match="of the model"):
        await run(Failing(), MemoryStore(), a_task(), memory_sandbox())


async def test_a_turn_that_was_cut_off_is_told_so():
    whole = ToolCall(id="functions.bash:0", name="bash", arguments='{"command": "true"}')
    cut = ToolCall(id="functions.create:1", name="create", arguments='{"path": "a.py", "con')
    usage = Usage(prompt_tokens=9, completion_tokens=2048)
    model = Speaking(
        Turn(tool_calls=(whole, cut), finish_reason="length", usage=usage),
        Turn(content="I think and", finish_reason="length", usage=usage),
        Turn(content="I give up."),
    )
    store = MemoryStore()
    await run(model, store, a_task(), memory_sandbox())
    events = [r.event for r in store.events("r1")]
    done = [e for e in events if e.type == "tool_finished"]
    assert [e.status for e in done] == ["ok", "refused"]
    assert done[1].first_line.startswith("the call was cut off at 2,048 tokens")
    assert "shorter" in done[1].output
    assert "not JSON" not in done[1].output
    notes = [e.text for e in events if e.type == "note_added"]
    assert notes[0].startswith("Your last answer was cut off at 2,048 tokens before it came to a")
    assert notes[1].startswith("Your last answer held no tool call.")


class Calling(Speaking):
    """Makes the given calls, one a turn, then the last one again and again."""

    def __init__(self, *calls: tuple[str, dict[str, object]]) -> None:
        super().__init__()
        self._calls, self._count = calls, 0

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        name, arguments = self._calls[min(self._count, len(self._calls) - 1)]
        call = ToolCall(
            id=f"functions.{name}:{self._count}", name=name, arguments=json.dumps(arguments)
        )
        self._count += 1
        return Turn(tool_calls=(call,), usage=Usage(prompt_tokens=10))


REPAIRING = (
    ("reproduction", {"why_none": "needs a printer"}),
    ("edit", {"path": "shop/prices.py", "old": "discount / 10\n", "new": "discount / 100\n"}),
    ("submit", {"root_cause": "a", "summary": "b"}),
)


async def fixed(judge_with: JudgeWith, store: MemoryStore) -> AttemptState:
    """The state after a draft was submitted as often as this gate wants."""

    async def open_sandbox() -> MemorySandbox:
        return memory_sandbox()

    async def attach(_: str) -> None:
        return None

    return await debug(
        a_task(calls=12),
        model=Calling(*REPAIRING),
        store=store,
        open_sandbox=open_sandbox,
        attach=attach,
        open_fresh=open_sandbox,
        judge_with=judge_with,
    )


async def test_a_sandbox_of_the_gate_that_dies_costs_neither_the_tree_nor_the_attempt():
    judged: list[Submission] = []

    async def dies_twice(submission: Submission, open_fresh: OpenSandbox, *_: object) -> GateJudged:
        judged.append(submission)
        if len(judged) <= 2:
            raise SandboxGone("out of memory")
        return GateJudged(verdict="proven", patch=submission.patch)

    store = MemoryStore()
    state = await fixed(dies_twice, store)
    assert state.outcome == "proven"
    assert len({s.patch for s in judged}) == 1, "the tree was as it had been"
    assert "discount / 100" in judged[0].patch
    assert [r.event.type for r in store.events("r1")].count("sandbox_opened") == 1
    assert any("the gate could not run (out of memory)" in m.content for m in state.messages)


async def test_without_a_reproduction_a_draft_still_has_to_break_no_test():
    missing = Check(name="reproduction", ok=False, detail="There is no reproduction.")
    broken = Check(name="test suite", ok=False, detail="1 test that passed no longer does.")
    judged: list[Submission] = []

    async def first_broken(
        submission: Submission, open_fresh: OpenSandbox, *_: object
    ) -> GateJudged:
        judged.append(submission)
        checks = (missing, broken) if len(judged) == 1 else (missing,)
        return GateJudged(
            verdict="unproven", checks=checks, reasons=tuple(c.detail for c in checks)
        )

    state = await fixed(first_broken, MemoryStore())
    assert state.outcome == "draft"
    assert len(judged) == 2
    assert "no longer does" not in state.diagnosis


SUITE = Check(name="reproduction", ok=True)
COMPLAINTS = Check(
    name=STYLE, ok=True, advice=True, detail="a.py:1: F841.", before="clean", after="F841"
)


def held(submission: Submission, *checks: Check) -> GateJudged:
    return GateJudged(verdict="proven", patch=submission.patch, checks=(SUITE, *checks))


async def test_new_complaints_of_style_are_asked_about_and_take_no_proof_away():
    judged: list[Submission] = []

    async def complains(submission: Submission, open_fresh: OpenSandbox, *_: object) -> GateJudged:
        judged.append(submission)
        return held(submission, COMPLAINTS)

    store = MemoryStore()
    state = await fixed(complains, store)
    verdicts = [r.event for r in store.events("r1") if r.event.type == "gate_judged"]
    assert [v.verdict for v in verdicts] == ["unproven", "proven"]
    assert ASKED_ABOUT_STYLE in verdicts[0].reasons[0] and "F841" in verdicts[0].reasons[0]
    assert (state.outcome, state.gate_refusals) == ("proven", 0)
    assert len(judged) == 1, "the same patch again is not judged again"
    assert state.verdict is not None and state.verdict.reasons == ()


async def test_a_patch_that_was_only_asked_about_its_style_is_proven_whatever_follows():
    async def complains_then_fails(
        submission: Submission, open_fresh: OpenSandbox, *_: object
    ) -> GateJudged:
        if "worse" in submission.patch:
            broken = Check(name="test suite", ok=False, detail="1 test that passed no longer does.")
            return GateJudged(verdict="unproven", checks=(SUITE, broken), reasons=(broken.detail,))
        return held(submission, COMPLAINTS)

    async def open_sandbox() -> MemorySandbox:
        return memory_sandbox()

    async def attach(_: str) -> None:
        return None

    worse = ("edit", {"path": "shop/prices.py", "old": "/ 100", "new": "/ 100  # worse"})
    state = await debug(
        a_task(calls=9),
        model=Calling(*REPAIRING, worse, REPAIRING[-1]),
        store=MemoryStore(),
        open_sandbox=open_sandbox,
        attach=attach,
        open_fresh=open_sandbox,
        judge_with=complains_then_fails,
    )
    assert (state.outcome, state.diagnosis) == ("proven", "")
    assert state.verdict is not None and "worse" not in state.verdict.patch
    assert [c.ok for c in state.verdict.checks] == [True, True]
