"""Sandboxes that die: an engine that is restarted costs no attempt, wherever it was."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.session import STARTS, debug
from sandbox.errors import SandboxError, SandboxGone
from tests.doubles.local_sandbox import LocalSandbox
from tests.doubles.seeded_policy import FILES, SeededModel
from tests.support.agent.loops import a_task, gate_agrees


class DyingSandbox(LocalSandbox):
    """Dies in its so-manieth command; 0: before it is there."""

    def __init__(self, after: int) -> None:
        super().__init__(FILES)
        self.left = after

    async def run(self, command: str, *, timeout_s: float = 120.0):
        self.left -= 1
        if self.left == 0:
            raise SandboxGone("out of memory")
        return await super().run(command, timeout_s=timeout_s)


class Engine:
    """Opens sandboxes that die after so many commands each; then such that live."""

    def __init__(self, *dying: int) -> None:
        self.dying = list(dying)
        self.opened = 0

    async def open(self) -> LocalSandbox:
        self.opened += 1
        if not self.dying:
            return LocalSandbox(FILES)
        after = self.dying.pop(0)
        if after == 0:
            raise SandboxGone("the engine was restarted")
        return DyingSandbox(after)


async def attempt(engine: Engine, store: MemoryStore) -> AttemptState:
    async def attach(_: str) -> None:
        return None

    return await debug(
        a_task(),
        model=SeededModel(seed=2, steps=30, slow_commands=False),
        store=store,
        open_sandbox=engine.open,
        attach=attach,
        open_fresh=engine.open,
        judge_with=gate_agrees,
    )


def openings(store: MemoryStore) -> list[str]:
    return [r.event.reason for r in store.events("r1") if r.event.type == "sandbox_opened"]


async def test_a_sandbox_that_dies_is_replaced_and_the_run_goes_on():
    store, engine = MemoryStore(), Engine(15)
    state = await attempt(engine, store)
    assert state.outcome == "proven"
    assert engine.opened == 2
    assert openings(store) == ["start", "rebuilt"]
    assert any("the sandbox died" in m.content for m in state.messages)


@pytest.mark.parametrize(
    "dying", [(1,), (2,), (0,), (0, 0), (1, 2), (0, 1, 2), (1, 0, 0, 2)], ids=str
)
async def test_sandboxes_that_die_before_the_first_turn_are_replaced(
    dying: Sequence[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent.session.ENGINE_POLL_S", 0)
    store, engine = MemoryStore(), Engine(*dying)
    state = await attempt(engine, store)
    assert state.outcome == "proven"
    assert engine.opened == len(dying) + 1
    assert sum(r.event.type == "attempt_started" for r in store.events("r1")) == 1


async def test_tests_that_always_kill_their_sandbox_end_the_attempt_and_say_so():
    store, engine = MemoryStore(), Engine(*[1] * 10)
    with pytest.raises(SandboxError, match=f"died {STARTS} times while the tests ran") as raised:
        await attempt(engine, store)
    assert type(raised.value) is SandboxError, "trying again would not help"
    assert engine.opened == STARTS


async def test_an_engine_that_never_keeps_a_sandbox_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("agent.session.ENGINE_POLL_S", 0)
    engine = Engine(*[0] * 10)
    with pytest.raises(SandboxGone):
        await attempt(engine, MemoryStore())
    assert engine.opened == STARTS
