"""A run's attempts: each has a sandbox and a loop, and the status comment is kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent import session
from agent.best_of import choose, climb
from agent.decisions.budget import tokens_by_usage
from agent.errors import BudgetUsedUp
from agent.gate.judge import Submission, judge
from agent.gate.progress import OnProgress
from agent.journal.events import (
    GateJudged,
    ModelWaiting,
    Recorded,
    ReproductionDeclared,
)
from agent.journal.state import AttemptState
from agent.model import Picture
from agent.session import JudgeWith
from agent.task import Asking, Attachment, Budget, Issue, KeptBase, Task
from agent.testing.report import SuiteRun
from agent.tools.tool import ExternalTools
from app.git.commit_history import HistoryArchive
from app.mcp.config import Server, load
from app.mcp.run_tools import Offer, tools_of_run
from app.publishing.facts import Phase, RunFacts
from app.runs import trees
from app.runs.active_run import ISSUE_LOG, ActiveRun
from app.runs.commits.past import RunPast, past_of
from app.runs.related.work import kept_work
from app.sandboxes.competition import unfit_by
from app.sandboxes.kept_base import FOLDER, kept_base
from app.spending.account import Payer
from app.storage.usage import tokens_of_proven
from app.telemetry import logs, metrics, tracing
from sandbox.protocol import OpenSandbox, Sandbox

ANNOUNCED = {"reproduction_declared", "hypothesis_proposed", "hypothesis_resolved", "submitted"}
"""Events after which the status comment says something new."""

TOKENS_LOG = "budget-tokens"
TOOLS_LOG = "operator-tools"
"""Begins the log ids under which it is kept what tools attempts were offered."""
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """What attempts start from."""

    tree: str
    """Commit whose tree the sandboxes hold."""
    first: int = 1
    """Number of the first attempt."""
    attempts: int = 1
    """Side by side, on each rung."""
    rungs: int = 1
    """Models that take their turns until one proves a fix."""
    again: str = ""
    """Why there is another attempt; empty for the first."""
    feedback: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    pictures: tuple[Picture, ...] = ()
    judge_with: JudgeWith = judge
    asking: Asking = Asking()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class SandboxFiles:
    """What the sandboxes of attempts are filled with."""

    tree: Path
    past: RunPast | None
    history: HistoryArchive | None
    """Not for the gate's: what a change does must not depend on it."""


async def debug(
    run: ActiveRun, plan: AttemptPlan, facts: RunFacts, clone_url: str, pull: str = ""
) -> int:
    """Run or resume the attempts; returns the number of the best one.

    A single one may have asked a question, and has not ended then.
    """
    run.phase("debugging")
    tree = await trees.tree_file(run, plan.tree, clone_url)
    history = await trees.history_file(run, plan.tree, clone_url)
    past = await past_of(run, plan.tree, clone_url, tree)
    files = SandboxFiles(tree, past, history)
    progress: asyncio.Queue[int] = asyncio.Queue()
    async with _external_tools(run, plan) as (offered, external):
        task = (await task_of(run, plan, files)).model_copy(
            update={"external_tools": offered.tools, "external_missing": offered.missing}
        )

        async def run_one(number: int) -> AttemptState:
            return await _run_attempt(run, task, plan, number, files, progress, external)

        async with _status_updates(run, facts, pull, progress):
            states = await climb(plan.rungs, plan.attempts, run_one, partial(_may_begin, run, plan))
    return plan.first + choose(states).number - 1


def _may_begin(run: ActiveRun, plan: AttemptPlan, before: int) -> bool:
    """Whether there is money for another rung; one that was begun ends by itself."""
    if run.next_attempt() > plan.first + before:
        return True
    try:
        run.services.account(Payer.of(run.record)).check()
    except BudgetUsedUp:
        return False
    return True


@asynccontextmanager
async def _external_tools(
    run: ActiveRun, plan: AttemptPlan
) -> AsyncIterator[tuple[Offer, ExternalTools | None]]:
    """The operator's tools for these attempts; none where the operator names no server."""
    path = run.services.settings.tools_file
    if path is None:
        yield Offer(), None
        return
    repository, config = await run.repository(), await run.services.config(run.forge)

    def servers() -> tuple[Server, ...]:
        return load(path).serving(
            repository.full_name, private=repository.private, wanted=config.tool_servers
        )

    log_id = f"{TOOLS_LOG}-{plan.first}"
    async with tools_of_run(run.store, run.record.id, log_id, servers) as offered_and_tools:
        yield offered_and_tools


async def task_of(run: ActiveRun, plan: AttemptPlan, files: SandboxFiles) -> Task:
    """The assignment of a run's attempts."""
    config = await run.services.config(run.forge)
    settings, history = run.services.settings, files.history
    kept = run.store.get_log(run.record.id, ISSUE_LOG)
    if kept is None:
        raise RuntimeError(f"run {run.record.id} has no issue")
    return Task(
        run_id=run.record.id,
        repository=run.record.repository,
        base_commit=plan.tree,
        issue=Issue.model_validate_json(kept),
        test_command=config.test_command,
        budget=await _budget(run, config.budget),
        policy=config.policy,
        degraded=unfit_by(environment) if (environment := run.environment()) else "",
        kept_base=await _kept_base(run, files.tree),
        gate_at_once=settings.gate_at_once(settings.worker_concurrency),
        history_commits=history.commits if history else 0,
        history_is_cut=history.is_cut if history else False,
        related=kept_work(run) if run.record.round == 1 else (),
        rules=conventions.rules if (conventions := run.conventions()) else None,
        hints=(run.record.trigger.hint,) if run.record.trigger.hint else (),
        asking=plan.asking,
        again=plan.again,
        feedback=plan.feedback,
        attachments=plan.attachments,
        pictures=plan.pictures,
    )


async def _budget(run: ActiveRun, most: Budget) -> Budget:
    """What each attempt may use; the same when the run goes on after an interruption."""
    if not run.services.settings.budget_follows_usage:
        return most
    kept = run.store.get_log(run.record.id, TOKENS_LOG)
    if kept is None:
        database, model = run.store.database, run.record.model
        measured = await asyncio.to_thread(tokens_of_proven, database, model)
        kept = str(tokens_by_usage(measured, most.tokens)).encode()
        run.store.put_log(run.record.id, TOKENS_LOG, kept)
    return most.model_copy(update={"tokens": min(int(kept), most.tokens)})


def _base_run(run: ActiveRun, tree: Path) -> SuiteRun | None:
    """The suite's run on the unchanged tree, if choosing the environment took one."""
    kept = run.store.get_log(run.record.id, trees.base_run_log(tree))
    return SuiteRun.model_validate_json(kept) if kept else None


async def _kept_base(run: ActiveRun, tree: Path) -> KeptBase | None:
    """Where the suite's results on this tree are kept; none are kept for later rounds."""
    if run.record.round > 1:
        return None
    environment = await run.services.sandboxes.environment(tree)
    folder = run.services.settings.state_dir / FOLDER
    return await kept_base(folder, str(run.record.repository_id), tree, environment)


async def prove_on_commit(
    run: ActiveRun,
    commit: str,
    clone_url: str,
    patch: str,
    reproduction: ReproductionDeclared | None,
    test_command: str,
) -> GateJudged:
    """The gate's verdict on a patch on top of any commit."""
    tree = await trees.tree_file(run, commit, clone_url)
    kept = run.store.get_log(run.record.id, ISSUE_LOG) or b"{}"
    config = await run.services.config(run.forge)

    async def open_fresh() -> Sandbox:
        return await run.services.sandboxes.open(run.record.id, "gate-again", tree)

    image = await run.services.sandboxes.environment(tree)
    submission = Submission(
        patch=patch,
        reproduction=reproduction,
        holds_regression_test=True,
        issue=Issue.model_validate_json(kept),
        test_command=test_command or config.test_command,
        policy=config.policy,
        test_timeout_s=config.budget.test_timeout_s,
        shrink=False,
        rules=conventions.rules if (conventions := run.conventions()) else None,
    )
    judged = await judge(submission, open_fresh)
    return judged.model_copy(update={"image": image})


async def _run_attempt(
    run: ActiveRun,
    task: Task,
    plan: AttemptPlan,
    index: int,
    files: SandboxFiles,
    progress: asyncio.Queue[int],
    external: ExternalTools | None,
) -> AttemptState:
    sandboxes, store, run_id = run.services.sandboxes, run.store, run.record.id
    number = plan.first + index - 1

    async def waiting(reason: str, seconds: float) -> None:
        event = ModelWaiting(attempt=number, reason=reason, retry_in_s=seconds)
        store.append(run_id, [event])
        progress.put_nowait(number)

    def observe(entry: Recorded) -> None:
        tracing.trace_event(run_id, entry)
        metrics.observe_event(entry)
        run.first_call.observe_event(entry)
        if entry.event.type in ANNOUNCED:
            progress.put_nowait(number)

    async def open_sandbox() -> Sandbox:
        archive = files.history.file if files.history else None
        return await sandboxes.open(run_id, f"attempt-{number}", files.tree, archive)

    async def open_fresh() -> Sandbox:
        return await sandboxes.open(run_id, f"gate-{number}", files.tree)

    async def judge_with(
        submission: Submission, opening: OpenSandbox, on_progress: OnProgress
    ) -> GateJudged:
        image = await sandboxes.environment(files.tree)
        judged = await plan.judge_with(submission, opening, on_progress)
        return judged.model_copy(update={"image": image})

    model = run.services.model(Payer.of(run.record), number - 1, waiting)
    try:
        with metrics.track_attempt():
            return await session.debug(
                task,
                model=model,
                store=store,
                open_sandbox=open_sandbox,
                attach=sandboxes.attach,
                open_fresh=open_fresh,
                attempt=number,
                seed=number - 1,
                on_event=observe,
                judge_with=judge_with,
                base_run=_base_run(run, files.tree),
                past=files.past,
                external=external,
            )
    finally:
        await model.close()


@asynccontextmanager
async def _status_updates(
    run: ActiveRun, facts: RunFacts, pull: str, progress: asyncio.Queue[int]
) -> AsyncIterator[None]:
    """Keep the status comment up to date during the block, but not too often."""

    async def update() -> None:
        await run.update_status("debugging", facts, AttemptState(), pull)
        while True:
            attempt = await progress.get()
            while not progress.empty():
                attempt = progress.get_nowait()
            state = run.state(attempt)
            phase: Phase = "verifying" if state.submitted and not state.verdict else "debugging"
            await run.update_status(phase, facts, state, pull)
            await asyncio.sleep(run.services.status_interval_s)

    task = asyncio.create_task(update())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()):
            _log.warning("status updates ended early", run=run.record.id, exc_info=error)
