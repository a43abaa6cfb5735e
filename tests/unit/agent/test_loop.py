"""The loop on a local sandbox: it ends proven, resumes anywhere, keeps pairs whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from agent.gate.claims import Claims
from agent.journal.events import UNDECIDED, AnyEvent, GateJudged, Recorded
from agent.journal.state import AttemptState, fold
from agent.journal.store import NO_LOGS, Hint, MemoryStore
from agent.journal.writer import Journal
from agent.loop import GATE_REFUSALS, Attempt, run_loop
from agent.model import Message, ToolCall, ToolSpec, Turn, Usage
from agent.session import debug
from agent.tools.external import INTERRUPTED
from tests.doubles.local_sandbox import LocalSandbox
from tests.doubles.seeded_policy import FILES, WRONG, SeededModel
from tests.support.agent.loops import (
    Speaking,
    UnclosedSandbox,
    a_task,
    gate_agrees,
    memory_sandbox,
    pairs_are_whole,
    run,
)


async def agree(state: AttemptState, patch: str) -> GateJudged:
    return GateJudged(verdict="proven", patch=patch)


def executed(events: list[AnyEvent]) -> list[str]:
    return [e.call_id for e in events if e.type == "tool_finished" and e.status != "interrupted"]


async def test_the_loop_ends_with_the_patch_and_a_whole_conversation():
    store = MemoryStore()
    state = await run(SeededModel(seed=1, steps=40, slow_commands=False), store, a_task())
    assert state.outcome == "proven"
    assert "+    return amount - amount * discount / 100" in state.verdict.patch
    assert "tests/test_discount.py" in state.verdict.patch
    assert state.calls_used == 40
    assert pairs_are_whole(state.messages)
    recorded = store.events("r1")
    for i in range(len(recorded)):
        fold(r.event for r in recorded[:i])
    assert fold(r.event for r in recorded) == state


class Doubting(SeededModel):
    """Says of its fix that another would do as well."""

    async def turn(self, messages, tools):
        turn = await super().turn(messages, tools)
        calls = tuple(
            c.model_copy(
                update={
                    "arguments": json.dumps({**json.loads(c.arguments), "undecided": "or minus"})
                }
            )
            if c.name.endswith("submit")
            else c
            for c in turn.tool_calls
        )
        return turn.model_copy(update={"tool_calls": calls})


async def test_a_fix_that_its_maker_cannot_tell_from_another_is_a_draft():
    model = Doubting(seed=1, steps=12, slow_commands=False)
    state = await run(model, MemoryStore(), a_task())
    assert (state.outcome, state.diagnosis) == ("draft", "or minus")
    assert state.verdict.verdict == "unproven"
    assert [c.name for c in state.verdict.checks if not c.ok] == [UNDECIDED]
    assert "+    return amount - amount * discount / 100" in state.verdict.patch


async def test_a_second_call_of_an_ended_attempt_does_nothing():
    store = MemoryStore()
    first = await run(SeededModel(seed=1, steps=12, slow_commands=False), store, a_task())
    count = len(store.events("r1"))
    assert await run(SeededModel(seed=1, steps=12), store, a_task()) == first
    assert len(store.events("r1")) == count


class Crash(Exception):
    pass


class CrashingStore(MemoryStore):
    """Dies after so many events were made durable."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def append(
        self, run_id: str, events: Sequence[AnyEvent], logs: Mapping[str, bytes] = NO_LOGS
    ) -> tuple[Recorded, ...]:
        recorded = super().append(run_id, events, logs)
        if recorded[-1].seq >= self.at >= 0:
            self.at = -1
            raise Crash
        return recorded


async def test_crash_at_every_event_boundary_gives_the_same_end():
    steps = 60
    whole = MemoryStore()
    expected = await run(SeededModel(seed=3, steps=steps), whole, a_task(), memory_sandbox())
    assert len([r for r in whole.events("r1") if r.event.type == "tool_finished"]) == steps
    for at in range(len(whole.events("r1"))):
        store = CrashingStore(at)
        sandbox = memory_sandbox()
        with pytest.raises(Crash):
            await run(SeededModel(seed=3, steps=steps), store, a_task(), sandbox)
        before = executed([r.event for r in store.events("r1")])
        state = await run(SeededModel(seed=3, steps=steps), store, a_task(), sandbox)
        events = [r.event for r in store.events("r1")]
        assert state.outcome == expected.outcome, at
        assert state.verdict.patch == expected.verdict.patch, at
        assert [h.verdict for h in state.hypotheses] == [h.verdict for h in expected.hypotheses]
        assert pairs_are_whole(state.messages), at
        after = executed(events)
        assert after[: len(before)] == before
        assert len(set(after)) == len(after), f"a call with a result was repeated (at {at})"
        assert fold(events) == state


async def test_resume_in_another_sandbox_rebuilds_the_tree_from_the_last_snapshot():
    store = CrashingStore(at=45)
    model = SeededModel(seed=5, steps=40, slow_commands=False)
    with pytest.raises(Crash):
        await run(model, store, a_task())
    assert store.events("r1")[-1].event.type != "attempt_ended"
    state = await run(SeededModel(seed=5, steps=40, slow_commands=False), store, a_task())
    assert state.outcome == "proven"
    assert "tests/test_discount.py" in state.verdict.patch, "the reproduction's file came along"


async def test_every_change_outlives_the_sandbox_and_its_machine():
    store = MemoryStore()
    opened: list[LocalSandbox] = []
    right = {"path": "shop/prices.py", "old": WRONG, "new": "discount / 100\n"}
    written = {"command": "echo kept > by_command.txt"}
    calls = [("edit", right), ("bash", written)]
    found: list[tuple[bool, bytes]] = []

    class Ending(SeededModel):
        """The worker dies when all is done."""

        async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
            if not calls:
                code = await opened[-1].read("shop/prices.py")
                found.append((WRONG in code.decode(), await opened[-1].read("by_command.txt")))
                raise Crash
            name, arguments = calls.pop(0)
            call = ToolCall(id=f"{name}:0", name=name, arguments=json.dumps(arguments))
            return Turn(tool_calls=(call,), usage=Usage())

    async def open_sandbox() -> LocalSandbox:
        opened.append(LocalSandbox(FILES))
        return opened[-1]

    async def attach(_: str) -> None:
        return None

    for _ in ("here", "elsewhere"):
        with pytest.raises(Crash):
            await debug(
                a_task(),
                model=Ending(seed=1, steps=1),
                store=store,
                open_sandbox=open_sandbox,
                attach=attach,
                open_fresh=open_sandbox,
                judge_with=gate_agrees,
            )
    assert len(opened) == 2
    assert found == [(False, b"kept\n")] * 2


class Repeating(Speaking):
    """The same call for ever, each with an id of its own."""

    def __init__(self, name: str, arguments: str) -> None:
        super().__init__()
        self._call, self._count = (name, arguments), 0

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        self._count += 1
        name, arguments = self._call
        call = ToolCall(id=f"functions.{name}:{self._count - 1}", name=name, arguments=arguments)
        return Turn(tool_calls=(call,), usage=Usage(prompt_tokens=10))


async def test_text_without_a_call_becomes_the_diagnosis_after_three_turns():
    state = await run(Speaking(Turn(content="It cannot be fixed here.")), MemoryStore(), a_task())
    assert state.outcome == "diagnosis"
    assert state.diagnosis == "It cannot be fixed here."
    assert not any(m.role == "assistant" for m in state.messages)


async def test_the_budget_ends_the_attempt():
    model = Repeating("bash", '{"command": "date +%N"}')
    state = await run(model, MemoryStore(), a_task(calls=5))
    assert state.outcome == "diagnosis"
    assert "5 tool calls" in state.diagnosis
    assert state.calls_used == 5


async def test_repetition_is_nudged_and_then_ended():
    store = MemoryStore()
    model = Repeating("view", '{"path": "shop/prices.py"}')
    state = await run(model, store, a_task())
    drifts = [r.event.answer for r in store.events("r1") if r.event.type == "drift_noticed"]
    assert drifts == ["nudge", "rollback", "rollback", "end"]
    assert state.outcome == "diagnosis"
    assert "circles" in state.diagnosis
    assert state.calls_used < 20


async def test_submit_without_reproduction_is_refused():
    model = Repeating("submit", '{"root_cause": "a", "summary": "b"}')
    state = await run(model, MemoryStore(), a_task(calls=3))
    assert "no accepted reproduction" in state.messages[3].content
    assert state.submitted is None


async def test_a_stop_ends_a_running_command_at_once():
    store = MemoryStore()
    model = Repeating("bash", '{"command": "touch started; sleep 600", "timeout_s": 900}')
    sandbox = UnclosedSandbox(FILES)

    class Stopping(MemoryStore):
        def stop_reason(self, run_id: str) -> str:
            return "Stop." if (sandbox.root / "started").exists() else ""

    store = Stopping()
    state = await run(model, store, a_task(), sandbox)
    assert state.outcome == "stopped"
    assert state.pending, "the call in progress has no result"
    await sandbox.really_close()


async def test_a_hint_reaches_the_model_once():
    store = MemoryStore()
    store.noted["r1"] = [Hint(id=1, author="ann", text="look at prices")]
    model = Speaking(Turn(content="no"))
    state = await run(model, store, a_task())
    hints = [m for m in state.messages if "look at prices" in m.content]
    assert [h.content for h in hints] == ["[Note from ann] look at prices"]


async def test_gate_refusals_end_the_attempt():
    async def disagree(state: AttemptState, patch: str, claims: Claims) -> GateJudged:
        return GateJudged(verdict="refused", reasons=("it weakens a test",))

    sandbox = LocalSandbox(FILES)
    store = MemoryStore()
    journal = Journal(store, "r1", 1)
    model = SeededModel(seed=1, steps=12, slow_commands=False)

    async def rebuild() -> LocalSandbox:
        return sandbox

    state = await run_loop(Attempt(a_task(), model, sandbox, journal, disagree, rebuild))
    assert state.outcome == "diagnosis"
    assert state.gate_refusals == GATE_REFUSALS
    assert "it weakens a test" in state.messages[-1].content
    await sandbox.close()


def test_the_interrupted_text_is_what_policies_look_for():
    assert INTERRUPTED.startswith("[interrupted]")
