"""One instance of an evaluation: its attempts through the ordinary loop and gate, then judged."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.best_of import final_patch, size
from agent.errors import AgentError, LostLease
from agent.evaluation.hidden import judge_hidden
from agent.evaluation.instances import Instance, title_and_body
from agent.evaluation.results import AttemptResult, HiddenVerdict, InstanceResult
from agent.journal.events import ModelTurned, Recorded
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.model import Model
from agent.session import debug
from agent.task import Budget, Issue, Task
from agent.testing.suite import NoTests, find_test_command
from app.evaluation.repositories import Sources
from app.evaluation.sandboxes import Trees
from app.git.commit_history import HistoryArchive, HistoryLimits
from app.git.process import GitError
from app.sandboxes.kept_base import kept_base
from sandbox.errors import SandboxError
from sandbox.protocol import Sandbox

Trace = Callable[[Instance, Sequence[Recorded]], None]
"""Keeps an instance's journal."""


@dataclass(frozen=True, slots=True)
class InstanceContext:
    """What all instances of an evaluation work with."""

    sources: Sources
    trees: Trees
    new_model: Callable[[Instance, Path, str, int], Model]
    """The model for an instance, its tree (a tar file), a run id and a seed."""
    attempts: int
    budget: Budget
    trace: Trace
    base_results: Path
    """Where the results of bases are kept."""
    gate_at_once: int = 1
    history: HistoryLimits | None = None
    """How much of the past an attempt sees; None: nothing."""


async def run_instance(instance: Instance, context: InstanceContext) -> InstanceResult:
    """Try an instance and judge each attempt by the hidden tests.

    What keeps it from being tried (mirror, image, model's server) is an error in the result.
    """
    try:
        tree = await context.sources.tree(instance.repo, instance.base_commit)
        history = None
        if context.history is not None:
            history = await context.sources.past(
                instance.repo, instance.base_commit, context.history
            )
        resolved = await with_environment(instance, context.trees, tree)
        store = MemoryStore()
        task = task_of(resolved, context.budget).model_copy(
            update={
                "kept_base": await kept_base(
                    context.base_results,
                    resolved.repo,
                    tree,
                    await context.trees.image_id(resolved.image),
                ),
                "gate_at_once": context.gate_at_once,
                "history_commits": history.commits if history else 0,
                "history_is_cut": history.is_cut if history else False,
            }
        )
        attempts = [
            await _attempt(task, resolved, context, (tree, history), store, number)
            for number in range(1, context.attempts + 1)
        ]
    except (AgentError, SandboxError, GitError) as problem:
        if isinstance(problem, LostLease):
            raise
        return InstanceResult(
            instance_id=instance.instance_id, status="error", error=str(problem)[:2000]
        )
    context.trace(instance, store.events(run_id_of(instance)))
    return InstanceResult(instance_id=instance.instance_id, attempts=tuple(attempts))


async def with_environment(instance: Instance, trees: Trees, tree: Path) -> Instance:
    """The instance with the image and the test command that it does not name itself.

    A given image is taken as it is; else the repository's own files decide. The command is empty
    where no tests are found. Raises `SandboxError`.
    """
    if not instance.image:
        own = await trees.environment(tree, instance.repo, instance.problem_statement)
        command = instance.test_command or own.test_command
        instance = instance.model_copy(update={"image": own.image, "test_command": command})
    if instance.test_command:
        return instance
    sandbox = await trees.open(
        run_id=run_id_of(instance), purpose="tests", image=instance.image, tree=tree
    )
    try:
        return instance.model_copy(update={"test_command": await find_test_command(sandbox)})
    except NoTests:
        return instance
    finally:
        await sandbox.close()


def run_id_of(instance: Instance) -> str:
    """A run's id that container labels can take."""
    return f"eval-{hashlib.sha256(instance.instance_id.encode()).hexdigest()[:12]}"


def task_of(instance: Instance, budget: Budget) -> Task:
    """What the run is told about an instance: nothing about its tests or its fix."""
    title, body = title_and_body(instance.problem_statement)
    if instance.hints_text.strip():
        body = f"{body}\n\n{instance.hints_text.strip()}"
    return Task(
        run_id=run_id_of(instance),
        repository="/".join(instance.repo.rstrip("/").removesuffix(".git").split("/")[-2:]),
        base_commit=instance.base_commit,
        issue=Issue(title=title, body=body),
        test_command=instance.test_command,
        budget=budget,
    )


async def _attempt(
    task: Task,
    instance: Instance,
    context: InstanceContext,
    content: tuple[Path, HistoryArchive | None],
    store: MemoryStore,
    number: int,
) -> AttemptResult:
    tree, history = content

    def opener(purpose: str) -> Callable[[], Awaitable[Sandbox]]:
        async def open_one() -> Sandbox:
            return await context.trees.open(
                run_id=task.run_id,
                purpose=f"{purpose}-{number}",
                image=instance.image,
                tree=tree,
                history=history.file if history and purpose == "attempt" else None,
            )

        return open_one

    async def attach(_: str) -> Sandbox | None:
        return None

    model = context.new_model(instance, tree, task.run_id, number - 1)
    begun = time.monotonic()
    try:
        state = await debug(
            task,
            model=model,
            store=store,
            open_sandbox=opener("attempt"),
            attach=attach,
            open_fresh=opener("gate"),
            attempt=number,
            seed=number - 1,
        )
    finally:
        await model.close()
    wall_s = time.monotonic() - begun
    patch = final_patch(state)
    hidden = HiddenVerdict(resolved=False)
    if patch:
        hidden = await judge_hidden(
            instance, patch, opener("hidden"), context.budget.test_timeout_s
        )
    model_ms = sum(
        r.event.duration_ms
        for r in store.events(task.run_id)
        if isinstance(r.event, ModelTurned) and r.event.attempt == number
    )
    return _result(number, state, patch, hidden, model_ms / 1000, wall_s)


def _result(
    number: int,
    state: AttemptState,
    patch: str,
    hidden: HiddenVerdict,
    model_s: float,
    wall_s: float,
) -> AttemptResult:
    lines, files = size(patch)
    return AttemptResult(
        number=number,
        outcome=state.outcome or "failed",
        patch=patch,
        hidden=hidden,
        calls=state.calls_used,
        turns=state.turns,
        usage=state.usage,
        model_s=round(model_s, 3),
        wall_s=round(wall_s, 3),
        verdict=state.verdict.verdict if state.verdict else "",
        reasons=state.verdict.reasons if state.verdict else (state.diagnosis[:2000],),
        changed_lines=lines,
        changed_files=files,
    )
