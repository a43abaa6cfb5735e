"""One attempt from start or from where it was left: sandbox, prompts, loop, stop, clean-up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from agent.bisection.bisect import Past
from agent.cancellation import unless_stopped
from agent.errors import RunStopped
from agent.gate.claims import Claims
from agent.gate.judge import MOST_TRIES, Submission, judge
from agent.gate.progress import OnProgress
from agent.journal.events import AttemptStarted, GateJudged, GateProgressed, SandboxOpened
from agent.journal.state import AttemptState
from agent.journal.store import Store
from agent.journal.writer import Journal, OnEvent
from agent.loop import Attempt, end_attempt, replace_sandbox, run_loop
from agent.model import Model
from agent.people import take_answer
from agent.prompting import prompt_version, system_prompt, task_prompt
from agent.snapshots import restore_tree
from agent.task import Task
from agent.testing.report import SuiteRun
from agent.testing.suite import TestsCannotRun, cannot_start, find_test_command, run_suite
from agent.tools.tool import ExternalTools
from sandbox.errors import EngineUnavailable, SandboxError, SandboxGone
from sandbox.protocol import OpenSandbox, Sandbox

ENGINE_WAIT_S = 300.0
"""How long an attempt that lost its sandbox waits for an engine to open another one."""
ENGINE_POLL_S = 1.0
STARTS = 3
"""An attempt begins in so many sandboxes, if they die: an engine is restarted now and then."""
TREE_LISTING = (
    "find . -maxdepth 3 -not -path './.git*' -not -name '*.pyc' -not -name __pycache__ "
    "-printf '%P%y\\n' | sed -e 's/d$/\\//' -e 's/[fl]$//' | sort | head -n 200"
)

JudgeWith = Callable[[Submission, OpenSandbox, OnProgress], Awaitable[GateJudged]]
"""The gate, or more than it: another round of a run proves the whole change as well."""
Attach = Callable[[str], Awaitable[Sandbox | None]]
"""Finds a live sandbox again by its id, or gives None."""


async def debug(
    task: Task,
    *,
    model: Model,
    store: Store,
    open_sandbox: OpenSandbox,
    attach: Attach,
    open_fresh: OpenSandbox,
    attempt: int = 1,
    seed: int = 0,
    on_event: OnEvent | None = None,
    judge_with: JudgeWith = judge,
    base_run: SuiteRun | None = None,
    past: Past | None = None,
    external: ExternalTools | None = None,
) -> AttemptState:
    """Run one attempt to its end and give the state it ended in; or that it waits for an answer,
    with no sandbox held meanwhile.

    `base_run`: a run of the suite in a fresh sandbox of this tree, if there was one: it is not
    repeated then. `past`: older commits, for the tool that looks for the one that broke it.
    `external`: what carries out calls of the operator's tools.

    Called again for the same run and attempt, after a crash or when there may be an answer, it
    continues where the journal stops.
    The sandbox is destroyed at the attempt's end; when the task is cancelled (the worker shuts
    down) it is left for the next worker to attach to. Raises `NoTests`, `TestsCannotRun`,
    `ModelError`, `LostLease` and `SandboxError`.
    """
    journal = Journal(store, task.run_id, attempt, on_event)
    if journal.state.outcome is not None:
        return journal.state

    async def rebuild() -> Sandbox:
        return await rebuilt(journal, open_sandbox)

    async def submit_to_gate(state: AttemptState, patch: str, claims: Claims) -> GateJudged:
        submission = Submission(
            patch=patch,
            reproduction=state.reproduction,
            issue=task.issue,
            test_command=state.started.test_command if state.started else task.test_command,
            policy=task.policy,
            claims=claims,
            degraded=task.degraded,
            test_timeout_s=task.budget.test_timeout_s,
            reproduction_timeout_s=task.budget.tool_timeout_s,
            attempt=attempt,
            earlier=state.submissions,
            kept_base=task.kept_base,
            rules=task.rules,
            at_once=task.gate_at_once,
        )

        def on_progress(what: str, number: int, of: int) -> None:
            journal.append(GateProgressed(what=what, number=number, of=of))

        try:
            return await judge_with(submission, open_fresh, on_progress)
        except (EngineUnavailable, SandboxGone):
            # Not the patch's doing: the gate itself answers for what dies with the patch in it.
            await (await _wait_for_engine(open_fresh)).close()
            again = submission.model_copy(update={"deaths": MOST_TRIES})
            return await judge_with(again, open_fresh, on_progress)

    opened: list[Attempt] = []

    async def work() -> AttemptState:
        if not take_answer(journal, task.budget):
            return journal.state
        sandbox = await _attach_or_open(journal, open_sandbox, attach)
        parts = task, model, sandbox, journal, submit_to_gate, rebuild
        opened.append(Attempt(*parts, past, external))
        if journal.state.started is None:
            await _start_when_tests_run(opened[0], seed, base_run)
        return await run_loop(opened[0])

    leave_open = False
    try:
        return await unless_stopped(lambda: store.stop_reason(task.run_id), work())
    except RunStopped as stop:
        return end_attempt(journal, "stopped", str(stop))
    except asyncio.CancelledError:
        leave_open = True
        raise
    finally:
        if opened and not leave_open:
            await opened[0].sandbox.close()


async def _attach_or_open(journal: Journal, open_sandbox: OpenSandbox, attach: Attach) -> Sandbox:
    known = journal.state.sandbox_id
    if known:
        sandbox = await attach(known)
        if sandbox is not None:
            journal.append(SandboxOpened(sandbox_id=sandbox.id, reason="resumed"))
            return sandbox
    sandbox = await open_with_retries(journal, open_sandbox)
    journal.append(SandboxOpened(sandbox_id=sandbox.id, reason="rebuilt" if known else "start"))
    return sandbox


async def open_with_retries(journal: Journal, open_sandbox: OpenSandbox) -> Sandbox:
    """A sandbox with the tree of the journal's last snapshot, if there is one.

    Raises `SandboxGone` when it always dies, and what `open_sandbox` does.
    """
    for starts in range(1, STARTS):
        try:
            return await _open_at_last_snapshot(journal, open_sandbox)
        except SandboxGone:
            await asyncio.sleep(starts * ENGINE_POLL_S)
    return await _open_at_last_snapshot(journal, open_sandbox)


async def _open_at_last_snapshot(journal: Journal, open_sandbox: OpenSandbox) -> Sandbox:
    sandbox = await open_sandbox()
    last = journal.state.last_snapshot
    if last is not None:
        try:
            await restore_tree(sandbox, journal, last.snapshot)
        except BaseException:
            await asyncio.shield(sandbox.close())
            raise
    return sandbox


async def rebuilt(journal: Journal, open_sandbox: OpenSandbox) -> Sandbox:
    """Another sandbox with the last snapshot's tree after one died.

    Raises `EngineUnavailable` when there is no engine for `ENGINE_WAIT_S` seconds.
    """
    return await _wait_for_engine(partial(_open_at_last_snapshot, journal, open_sandbox))


async def _wait_for_engine(open_sandbox: OpenSandbox) -> Sandbox:
    """Another sandbox after one died, waiting for an engine that is being restarted."""
    deadline = time.monotonic() + ENGINE_WAIT_S
    while True:
        try:
            return await open_sandbox()
        except (EngineUnavailable, SandboxGone):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(ENGINE_POLL_S)


async def start_with_retries(attempt: Attempt, start: Callable[[], Awaitable[None]]) -> None:
    """Begin an attempt, in another sandbox when one dies. Raises `SandboxGone` if all die."""
    for _ in range(1, STARTS):
        try:
            return await start()
        except SandboxGone as problem:
            await replace_sandbox(attempt, problem)
    return await start()


async def _start_when_tests_run(attempt: Attempt, seed: int, base_run: SuiteRun | None) -> None:
    """Start, in another sandbox when one dies. Raises `SandboxError` when it always dies."""
    try:
        await start_with_retries(attempt, partial(_start, attempt, seed, base_run))
    except SandboxGone as problem:
        raise SandboxError(
            f"The sandbox died {STARTS} times while the tests ran on the unchanged tree "
            f"({problem}). If they need more than a sandbox may use, raise its limits."
        ) from None


async def _start(attempt: Attempt, seed: int, base_run: SuiteRun | None) -> None:
    """Prove that the tests run, then write the prompts down."""
    task, sandbox = attempt.task, attempt.sandbox
    command = task.test_command or await find_test_command(sandbox)
    if base_run is not None and base_run.command == command:
        base = base_run
    else:
        base = await run_suite(sandbox, command, "", task.budget.test_timeout_s)
    if cannot_start(base):
        raise TestsCannotRun(command, base.output)
    listing = await sandbox.run(TREE_LISTING, timeout_s=30)
    attempt.journal.append(
        AttemptStarted(
            model=attempt.model.name,
            prompt_version=prompt_version(),
            base_commit=task.base_commit,
            system_prompt=system_prompt(),
            task_prompt=task_prompt(task, command, listing.text, sees=attempt.model.sees_images),
            test_command=command,
            base_failures=base.failing,
            seed=seed,
            pictures=task.pictures,
            pictures_shown=attempt.model.sees_images,
            external_tools=task.external_tools,
            external_missing=task.external_missing,
        )
    )
