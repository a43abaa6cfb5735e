"""A search for the commit that broke a local repository, from the issue to the answer."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.bisection.bisect import BisectLimits, find_culprit
from agent.bisection.records import Bisection, Commit, Trial
from agent.errors import AgentError
from agent.gate.sandbox_runs import run_before
from agent.journal.events import ReproductionDeclared
from agent.proving.reproduce import REPRODUCTION_CALLS, NothingWritten, write_reproduction
from agent.task import Issue, Task
from app.bisection.past import MirrorPast
from app.evaluation.sandboxes import Trees, docker_trees
from app.git import ancestry
from app.git.local import mirror_history, named_commit
from app.git.mirror import Mirror
from app.llm.factory import make_model
from app.settings.schema import Settings
from sandbox.protocol import OpenSandbox, Sandbox


class NothingShowsIt(AgentError):
    """There is no reproduction that fails at the newest commit; the message says why."""


@dataclass(frozen=True, slots=True)
class BisectRequest:
    """What was asked on the command line."""

    path: Path
    issue: Issue | None = None
    """What a model is to write a reproduction from; None: a command is given."""
    command: str = ""
    expected: str = ""
    """Words that the failing output must hold; empty: any failure counts."""
    files: dict[str, str] = field(default_factory=dict)
    """Files that the command needs, written anew at each commit."""
    bad: str = "HEAD"
    good: str = ""
    """A commit at which it worked; empty: it is looked for."""
    runs: int = 40
    minutes: float = 60.0
    places: int = 1


@dataclass(frozen=True, slots=True)
class BisectAnswer:
    """What was found, with the commits that it speaks of."""

    reproduction: ReproductionDeclared
    bisection: Bisection
    commits: tuple[Commit, ...]
    """All that were searched, the newest first."""


async def bisect_local(
    request: BisectRequest, settings: Settings, say: Callable[[str], None]
) -> BisectAnswer:
    """Find the commit that broke it. `say` is told what is done.

    Raises `RepositoryRefused`, `GitError`, `NothingShowsIt`, `SettingsError`, `SandboxError` and
    what a model's server does.
    """
    bad = await asyncio.to_thread(named_commit, request.path, request.bad)
    good = await asyncio.to_thread(named_commit, request.path, request.good) if request.good else ""
    with tempfile.TemporaryDirectory(prefix="patchwright-") as folder:
        mirror = await asyncio.to_thread(mirror_history, request.path, Path(folder) / "mirror")
        async with docker_trees(settings, say) as trees:
            return await _bisect(request, settings, say, mirror, trees, Path(folder), (bad, good))


async def _bisect(
    request: BisectRequest,
    settings: Settings,
    say: Callable[[str], None],
    mirror: Mirror,
    trees: Trees,
    folder: Path,
    ends: tuple[str, str],
) -> BisectAnswer:
    bad, good = ends
    commits = await asyncio.to_thread(ancestry.log, mirror, bad, settings.history_commits)
    if good and good not in {commit.id for commit in commits}:
        raise NothingShowsIt(
            f"{request.good} is not among the {len(commits)} newest commits before {request.bad}."
        )
    past = MirrorPast(mirror, commits, trees, folder, str(request.path.resolve()), request.places)

    async def open_bad() -> Sandbox:
        return await past.open(bad)

    if request.issue is not None:
        declared = await _written(request, request.issue, settings, bad, open_bad)
    else:
        declared = await _given(request, settings, open_bad)
    say(f"It fails at {bad[:12]}: `{declared.command}`")
    names = {commit.id: commit for commit in commits}

    def on_trial(trial: Trial) -> None:
        told = f"{trial.outcome}: {trial.commit[:12]} {names[trial.commit].subject[:60]}"
        say(f"{told} ({trial.why})" if trial.why else told)

    limits = BisectLimits(
        runs=request.runs,
        minutes=request.minutes,
        run_timeout_s=settings.budget.tool_timeout_s,
    )
    found = await find_culprit(past, declared, limits, good=good, on_trial=on_trial)
    return BisectAnswer(declared, found, tuple(commits))


async def _given(
    request: BisectRequest, settings: Settings, open_bad: OpenSandbox
) -> ReproductionDeclared:
    """The command of the request, if it fails as it should."""
    declared = ReproductionDeclared(
        attempt=1,
        command=request.command,
        files=request.files,
        expected_failure=request.expected,
        observed="",
        accepted=True,
    )
    sandbox = await open_bad()
    try:
        run = await run_before(sandbox, declared, settings.budget.tool_timeout_s)
    finally:
        await sandbox.close()
    if not run.as_claimed:
        raise NothingShowsIt(
            f"`{request.command}` does not fail at {request.bad} as was said. It printed: "
            f"{run.output.strip()[-800:]}"
        )
    seen = {"observed": run.output, "runs": run.runs, "failures": run.as_claimed}
    return declared.model_copy(update=seen)


async def _written(
    request: BisectRequest,
    issue: Issue,
    settings: Settings,
    bad: str,
    open_bad: OpenSandbox,
) -> ReproductionDeclared:
    """What a model wrote from the issue, as it was seen to fail."""
    task = Task(
        run_id="bisect",
        repository=request.path.resolve().name,
        base_commit=bad,
        issue=issue,
        budget=settings.budget.model_copy(update={"calls": REPRODUCTION_CALLS}),
    )
    model = make_model(settings, run_id=task.run_id, looking=True)
    try:
        declared = await write_reproduction(task, model, open_bad)
    finally:
        await model.close()
    if isinstance(declared, NothingWritten):
        limit = f" before {declared.before}" if declared.before else ""
        raise NothingShowsIt(
            f"No reproduction was found for this issue{limit}. Give a command that fails with "
            "--command."
        )
    return declared
