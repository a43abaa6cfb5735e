"""The loop with doubles around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.gate.judge import Submission
from agent.journal.events import GateJudged
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.model import Message, ToolSpec, Turn
from agent.session import debug
from agent.task import Budget, Issue, Task
from sandbox.protocol import OpenSandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.doubles.memory_sandbox import MemorySandbox
from tests.doubles.seeded_policy import FILES, TITLE, WRONG


def a_task(**budget: object) -> Task:
    return Task(
        run_id="r1",
        repository="o/shop",
        base_commit="c0",
        issue=Issue(title=TITLE, body="see title"),
        test_command="python3 -m pytest -q",
        budget=Budget(**budget),
    )


async def run(
    model: object,
    store: MemoryStore,
    task: Task,
    sandbox: LocalSandbox | MemorySandbox | None = None,
) -> AttemptState:
    async def open_sandbox() -> LocalSandbox | MemorySandbox:
        return sandbox or LocalSandbox(FILES)

    async def attach(_: str) -> LocalSandbox | MemorySandbox | None:
        return sandbox

    return await debug(
        task,
        model=model,
        store=store,
        open_sandbox=open_sandbox,
        attach=attach,
        open_fresh=open_sandbox,
        judge_with=gate_agrees,
    )


def pairs_are_whole(messages: Sequence[Message]) -> bool:
    open_calls: list[str] = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                return False
            open_calls.remove(message.tool_call_id)
        elif open_calls:
            return False
        open_calls += [c.id for c in message.tool_calls]
    return not open_calls


async def gate_agrees(submission: Submission, open_fresh: OpenSandbox, *_: object) -> GateJudged:
    return GateJudged(verdict="proven", patch=submission.patch)


class UnclosedSandbox(LocalSandbox):
    """Outlives the worker, as a container does."""

    async def close(self) -> None:
        pass

    async def really_close(self) -> None:
        await super().close()


def pretended_shell(command: str, files: Mapping[str, str]) -> tuple[int, str]:
    if "tests/test_discount.py" in command and "pytest" in command:
        wrong = WRONG in files["shop/prices.py"]
        return (1, "E  AssertionError: assert 0.0 == 90") if wrong else (0, "1 passed")
    if "pytest" in command:
        return 1, "E  AssertionError: assert 0.0 == 90"
    return len(command) % 3, f"output of {command}"


def memory_sandbox() -> MemorySandbox:
    return MemorySandbox(FILES, pretended_shell)


class Speaking:
    """Answers with the given turns, then repeats the last one."""

    name = "speaking"
    window = 100_000
    sees_images = False

    def __init__(self, *turns: Turn, preserves_thinking: bool = False) -> None:
        self.preserves_thinking = preserves_thinking
        self._turns = list(turns)

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        self.seen = list(messages)
        return self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]

    async def close(self) -> None:
        pass
