"""A reproduction for a change that brings no test: the model writes it from the issue alone.

It works in a sandbox of the base and never sees the change, with the tools that look and the one
that declares a reproduction. What it declares is only a proposal: the gate runs it in fresh
sandboxes, without the change and with it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from agent.cancellation import within
from agent.decisions.context_cut import plan_cut
from agent.gate.proof import fresh_sandbox
from agent.journal.events import (
    AttemptStarted,
    GateJudged,
    ModelTurned,
    ReproductionDeclared,
    SandboxOpened,
    ToolFinished,
)
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.journal.writer import Journal, OnEvent
from agent.loop import Attempt, answer_empty_turn, end_reason, perform_call
from agent.model import Model
from agent.prompting import prompt_version, reproduce_prompt, task_prompt
from agent.session import TREE_LISTING
from agent.task import Task
from agent.testing.suite import find_test_command
from agent.tools.registry import tool_specs
from sandbox.errors import SandboxError
from sandbox.protocol import OpenSandbox, Sandbox

TOOLS = frozenset({"bash", "view", "create", "search", "log", "run_tests", "reproduction"})
"""What a reproduction needs; nothing that changes the code or submits a patch."""

REPRODUCTION_CALLS = 60
"""Tool calls in which a model may find what shows the bug of an issue."""

WriteReproduction = Callable[[OpenSandbox], Awaitable[ReproductionDeclared | None]]
"""Writes what shows the bug, in sandboxes of the base; None where nothing was found."""


async def write_reproduction(
    task: Task,
    model: Model,
    open_base: OpenSandbox,
    on_event: OnEvent | None = None,
    journal: Journal | None = None,
) -> ReproductionDeclared | None:
    """What shows the bug of an issue, as it was seen to fail on the base; None where the model
    found nothing within the task's budget, or says that the issue does not tell enough.

    `task` holds the issue and no word of any change. `journal` is an attempt's that has not begun;
    without one nothing is kept. Raises `NoTests`, `ModelError`,
    `SandboxError`.
    """
    journal = journal or Journal(MemoryStore(), task.run_id, 1, on_event)
    async with fresh_sandbox(open_base) as sandbox:
        attempt = Attempt(task, model, sandbox, journal, _no_gate, _no_other_sandbox)
        await _start(attempt)
        specs = tuple(spec for spec in tool_specs() if spec.name in TOOLS)
        while (found := journal.state.reproduction) is None:
            if end_reason(journal.state, task, journal.elapsed_s):
                return None
            if planned := plan_cut(journal.state, model.window):
                journal.append(planned)
            started = time.monotonic()
            left_s = task.budget.wall_s - journal.elapsed_s
            turn = await within(left_s, model.turn(journal.state.messages, specs))
            if turn is None:
                return None
            journal.append(ModelTurned.of(turn, time.monotonic() - started))
            if not turn.tool_calls:
                answer_empty_turn(journal, turn.content)
            await _perform_calls(attempt)
    return found if found.command else None


async def _start(attempt: Attempt) -> None:
    task, sandbox = attempt.task, attempt.sandbox
    command = task.test_command or await find_test_command(sandbox)
    listing = await sandbox.run(TREE_LISTING, timeout_s=30)
    attempt.journal.append(
        SandboxOpened(sandbox_id=sandbox.id),
        AttemptStarted(
            model=attempt.model.name,
            prompt_version=prompt_version(),
            base_commit=task.base_commit,
            system_prompt=reproduce_prompt(),
            task_prompt=task_prompt(task, command, listing.text),
            test_command=command,
        ),
    )


async def _perform_calls(attempt: Attempt) -> None:
    journal = attempt.journal
    for call in journal.state.pending:
        name = call.name.removeprefix("functions.")
        if name in TOOLS:
            await perform_call(attempt, call)
            continue
        said = f"refused: the tools here are {', '.join(sorted(TOOLS))}"
        journal.append(ToolFinished(call_id=call.id, name=name, status="refused", output=said))


async def _no_gate(state: AttemptState, *_: object) -> GateJudged:
    raise AssertionError("nothing is submitted here")


async def _no_other_sandbox() -> Sandbox:
    raise SandboxError("The sandbox died while a reproduction was written.")
