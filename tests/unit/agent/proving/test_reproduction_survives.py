"""A reproduction is written in one attempt, whatever dies meanwhile, and people are heard."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.errors import ModelAway
from agent.journal.events import (
    AttemptStarted,
    ModelWaiting,
    SandboxOpened,
    ToolFinished,
)
from agent.journal.store import Hint, MemoryStore
from agent.journal.writer import Journal
from agent.model import ToolCall, Turn
from agent.proving.reproduce import NothingWritten, write_reproduction
from sandbox.errors import SandboxGone
from sandbox.protocol import Sandbox
from tests.doubles.memory_sandbox import MemorySandbox
from tests.doubles.seeded_policy import FILES
from tests.support.agent.loops import Speaking, a_task, pairs_are_whole


class _Died(BaseException):
    """The worker's process, or its model's server."""


def running(command: str) -> Turn:
    call = ToolCall(id=command, name="bash", arguments=f'{{"command": "{command}"}}')
    return Turn(reasoning="-", tool_calls=(call,), finish_reason="tool_calls")


class _Shell:
    """Prints the command, and raises what it is told to at the command that is called so."""

    def __init__(self, fault: BaseException | None = None) -> None:
        self.fault = fault
        self.opened = 0

    def __call__(self, command: str, files: Mapping[str, str]) -> tuple[int, str]:
        if "die" in command and self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        return 0, command

    async def open(self) -> Sandbox:
        self.opened += 1
        return MemorySandbox(FILES, self)


async def written(
    store: MemoryStore, model: Speaking, shell: _Shell, **budget: object
) -> NothingWritten:
    found = await write_reproduction(
        a_task(**budget), model, shell.open, journal=Journal(store, "r1", 1)
    )
    assert isinstance(found, NothingWritten)
    return found


async def test_a_worker_that_dies_costs_no_second_budget() -> None:
    store, shell = MemoryStore(), _Shell(_Died())
    with pytest.raises(_Died):
        await written(store, Speaking(running("one"), running("die")), shell, calls=3)
    model = Speaking(running("three"))
    found = await written(store, model, shell, calls=3)
    assert found.before == "the budget of 3 tool calls is used up"
    events = [entry.event for entry in store.events("r1")]
    assert sum(isinstance(event, AttemptStarted) for event in events) == 1
    calls = [(e.call_id, e.status) for e in events if isinstance(e, ToolFinished)]
    assert calls == [("one", "ok"), ("die", "interrupted"), ("three", "ok")]
    assert pairs_are_whole(model.seen)
    assert "one" in [message.tool_call_id for message in model.seen]


async def test_a_sandbox_that_dies_is_replaced() -> None:
    store, shell = MemoryStore(), _Shell(SandboxGone("out of memory"))
    await written(store, Speaking(running("die"), running("two")), shell, calls=2)
    events = [entry.event for entry in store.events("r1")]
    assert [e.reason for e in events if isinstance(e, SandboxOpened)] == ["start", "rebuilt"]
    lost, after = [e for e in events if isinstance(e, ToolFinished)]
    assert "out of memory" in lost.output
    assert after.status == "ok"


async def test_each_call_that_kills_its_sandbox_costs_a_call() -> None:
    class Deadly(_Shell):
        def __call__(self, command: str, files: Mapping[str, str]) -> tuple[int, str]:
            self.fault = SandboxGone("out of memory")
            return super().__call__(command, files)

    store, shell = MemoryStore(), Deadly()
    found = await written(store, Speaking(running("die")), shell, calls=4)
    assert (found.before, shell.opened) == ("the budget of 4 tool calls is used up", 5)


async def test_people_are_heard() -> None:
    store = MemoryStore()
    store.noted["r1"] = [Hint(id=1, author="ann", text="Look at the cart.")]
    model = Speaking(running("one"), Turn(content="I see nothing."))
    found = await written(store, model, _Shell())
    assert found == NothingWritten(), "it gave up by itself"
    said = [message.content for message in model.seen if "Look at the cart." in message.content]
    assert said == ["[Note from ann] Look at the cart."]


async def test_the_limit_that_ended_it_is_told_and_what_was_waited_for() -> None:
    class Away(Speaking):
        async def turn(self, *_: object) -> Turn:
            raise ModelAway("The model's server is away.")

    store = MemoryStore()
    with pytest.raises(ModelAway):
        await written(store, Away(), _Shell())
    waiting = ModelWaiting(reason="An operator paused the run.", retry_in_s=1)
    Journal(store, "r1", 1).append(waiting)
    found = await written(store, Speaking(running("one")), _Shell(), wall_s=1e-6)
    assert found.before.startswith("the time limit of ")
    assert found.before.endswith(" is reached (it waited: An operator paused the run)")
