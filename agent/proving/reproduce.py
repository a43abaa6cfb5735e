"""A reproduction for a change that brings no test: the model writes it from the issue alone.

It works in a sandbox of the base and never sees the change, with the tools that look and the one
that declares a reproduction. What it declares is only a proposal: the gate runs it in fresh
sandboxes, without the change and with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from agent.decisions.budget import exhausted
from agent.errors import BudgetUsedUp
from agent.journal.events import (
    AttemptStarted,
    GateJudged,
    ReproductionDeclared,
    SandboxOpened,
    ToolFinished,
)
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.journal.writer import Journal, OnEvent
from agent.loop import EMPTY_TURNS, Attempt, finish_call, take_turn
from agent.model import Model
from agent.people import take_hints
from agent.prompting import prompt_version, reproduce_prompt, task_prompt
from agent.session import TREE_LISTING, open_with_retries, rebuilt, start_with_retries
from agent.task import Task
from agent.testing.suite import find_test_command
from agent.tools.registry import tool_specs
from sandbox.protocol import OpenSandbox

TOOLS = frozenset({"bash", "view", "create", "search", "log", "run_tests", "reproduction"})
"""What a reproduction needs; nothing that changes the code or submits a patch."""

REPRODUCTION_CALLS = 60
"""Tool calls in which a model may find what shows the bug of an issue."""


@dataclass(frozen=True, slots=True)
class NothingWritten:
    """There is no reproduction."""

    before: str = ""
    """Which limit was reached first; empty: the model found none."""


WriteReproduction = Callable[[OpenSandbox], Awaitable[ReproductionDeclared | NothingWritten]]
"""Writes what shows the bug, in sandboxes of the base."""


async def write_reproduction(
    task: Task,
    model: Model,
    open_base: OpenSandbox,
    on_event: OnEvent | None = None,
    journal: Journal | None = None,
) -> ReproductionDeclared | NothingWritten:
    """What shows the bug of an issue, as it was seen to fail on the base; or that the model found
    nothing within the task's budget, or says that the issue does not tell enough.

    `task` holds the issue and no word of any change. `journal` is an attempt's, which continues
    where its journal stops; without one nothing is kept. Raises `NoTests`, `ModelError`,
    `SandboxError`.
    """
    journal = journal or Journal(MemoryStore(), task.run_id, 1, on_event)
    known = journal.state.sandbox_id
    sandbox = await open_with_retries(journal, open_base)
    journal.append(SandboxOpened(sandbox_id=sandbox.id, reason="rebuilt" if known else "start"))
    rebuild = partial(rebuilt, journal, open_base)
    attempt = Attempt(task, model, sandbox, journal, _no_gate, rebuild)
    try:
        if journal.state.started is None:
            await start_with_retries(attempt, partial(_start, attempt))
        return await _look_for_it(attempt)
    finally:
        await attempt.sandbox.close()


async def _look_for_it(attempt: Attempt) -> ReproductionDeclared | NothingWritten:
    journal = attempt.journal
    specs = tuple(spec for spec in tool_specs() if spec.name in TOOLS)
    while True:
        await _finish_calls(attempt)
        state = journal.state
        if state.reproduction is not None:
            return state.reproduction if state.reproduction.command else NothingWritten()
        if limit := exhausted(state, attempt.task.budget, journal.elapsed_s):
            waited = f" (it waited: {state.waiting.rstrip('.')})" if state.waiting else ""
            return NothingWritten(before=limit + waited)
        if state.empty_turns >= EMPTY_TURNS:
            return NothingWritten()
        take_hints(journal)
        try:
            await take_turn(attempt, specs)
        except BudgetUsedUp as error:
            return NothingWritten(before=str(error))


async def _start(attempt: Attempt) -> None:
    task, sandbox = attempt.task, attempt.sandbox
    command = task.test_command or await find_test_command(sandbox)
    listing = await sandbox.run(TREE_LISTING, timeout_s=30)
    attempt.journal.append(
        AttemptStarted(
            model=attempt.model.name,
            prompt_version=prompt_version(),
            base_commit=task.base_commit,
            system_prompt=reproduce_prompt(),
            task_prompt=task_prompt(task, command, listing.text),
            test_command=command,
        ),
    )


async def _finish_calls(attempt: Attempt) -> None:
    journal = attempt.journal
    for call in journal.state.pending:
        name = call.name.removeprefix("functions.")
        if name in TOOLS:
            await finish_call(attempt, call)
            continue
        said = f"refused: the tools here are {', '.join(sorted(TOOLS))}"
        journal.append(ToolFinished(call_id=call.id, name=name, status="refused", output=said))


async def _no_gate(state: AttemptState, *_: object) -> GateJudged:
    raise AssertionError("nothing is submitted here")
