"""The check itself: environment, several runs of the suite, report."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.testing.report import SuiteRun
from agent.testing.suite import run_suite
from app.check.report import (
    MOST_NAMES,
    CheckReport,
    ToolVersion,
    gate_seconds,
    together,
)
from app.evaluation.repositories import Sources
from app.git.local import mirror_local
from app.git.process import run_git
from app.repo_config.effective import EffectiveConfig
from app.sandboxes.base import present_image, spec_of
from app.sandboxes.environment import TestedEnvironment, environment_request, image_for
from app.sandboxes.local_environment import config_of_tree
from app.sandboxes.orphans import own_sandboxes
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.environment.choose import read_for_choice
from sandbox.environment.own_process import in_own_process
from sandbox.environment.versions.probe import PROBE, read_answer
from sandbox.environment.versions.records import NAMES, StatedVersion, Tool, Version, text_of
from sandbox.errors import ImageMissing
from sandbox.protocol import Sandbox
from sandbox.setup.records import proposal

RUN = "check"
RUNS = 3
PROBE_S = 30.0


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What was asked on the command line."""

    repository: str
    """A folder, or an address for git."""
    test_command: str = ""
    runs: int = RUNS


async def check(
    request: CheckRequest, settings: Settings, say: Callable[[str], None]
) -> CheckReport:
    """Find the repository's environment, run its suite in it, and report.

    `say` is told what is done. Raises `GitError`, `SettingsError`, `SandboxError`.
    """
    engine = DockerEngine(settings.docker_url)
    try:
        await present_image(engine, settings)
        with tempfile.TemporaryDirectory(prefix="patchwright-") as folder:
            tree = Path(folder) / "tree.tar"
            commit = await _write_tree(request.repository, Path(folder), tree)
            async with own_sandboxes(engine) as own:
                return await _check(engine, settings, request, tree, commit, own, say)
    finally:
        await engine.close()


async def _write_tree(repository: str, scratch: Path, tree: Path) -> str:
    """Write the repository's tree, as it is at HEAD, to a tar file; returns the commit."""
    if not _is_address(repository):
        local = await asyncio.to_thread(mirror_local, Path(repository), scratch / "local")
        await asyncio.to_thread(local.mirror.tree_tar, local.commit, tree)
        return local.commit
    sources = Sources(scratch, scratch / "fetched")
    history = await sources.history(repository, "HEAD")
    named = run_git(history.git_dir, "rev-parse", f"refs/heads/{history.branch}^{{commit}}")
    commit = named.decode().strip()
    (await sources.tree(repository, commit)).replace(tree)
    return commit


def _is_address(repository: str) -> bool:
    return repository.startswith(("http://", "https://"))


async def _check(
    engine: DockerEngine,
    settings: Settings,
    request: CheckRequest,
    tree: Path,
    commit: str,
    own: str,
    say: Callable[[str], None],
) -> CheckReport:
    config = await asyncio.to_thread(config_of_tree, settings, tree, say, request.test_command)
    local = not _is_address(request.repository)
    name = str(Path(request.repository).resolve()) if local else request.repository
    wanted = replace(environment_request(name, config), always_try=True)
    found = await image_for(
        engine, settings, tree, wanted, run_id=RUN, installation=own, progress=say
    )
    if found is None:
        raise ImageMissing("Set-up is switched off (PATCHWRIGHT_SETUP): there is nothing to check.")
    sandbox = await engine.open(spec_of(settings, found.image, RUN, RUN, own), tree)
    try:
        probed = await sandbox.run(f"cd / && {{ {PROBE}\n}}", timeout_s=PROBE_S)
        runs = await _runs(sandbox, found, request, config, say)
    finally:
        await sandbox.close()
    stated = (await in_own_process(read_for_choice, tree)).stated
    versions = _versions(read_answer(probed.text), stated)
    return report_of(request.repository, commit, found, runs, versions, config)


async def _runs(
    sandbox: Sandbox,
    found: TestedEnvironment,
    request: CheckRequest,
    config: EffectiveConfig,
    say: Callable[[str], None],
) -> list[SuiteRun]:
    """The run that chose the environment, and the others, in a sandbox of their own."""
    if found.trial is None:
        return []
    runs = [found.trial.run]
    if request.runs < 2 or not found.trial.readiness.starts:
        return runs
    for number in range(2, request.runs + 1):
        say(f"Running the tests, {number} of {request.runs} …")
        timeout_s = config.budget.test_timeout_s
        runs.append(await run_suite(sandbox, found.trial.command, "", timeout_s))
    return runs


def _versions(
    present: Mapping[Tool, Version], stated: Sequence[StatedVersion]
) -> tuple[ToolVersion, ...]:
    said: dict[str, list[str]] = {}
    for one in stated:
        said.setdefault(one.tool, []).append(f"{one.wanted} ({one.file})")
    return tuple(
        ToolVersion(
            tool=NAMES[tool],
            present=text_of(present.get(tool, ())),
            stated=tuple(dict.fromkeys(said[tool])),
        )
        for tool in NAMES
        if tool in said
    )


def report_of(
    repository: str,
    commit: str,
    found: TestedEnvironment,
    runs: list[SuiteRun],
    versions: tuple[ToolVersion, ...],
    config: EffectiveConfig,
) -> CheckReport:
    """The report on an environment and the runs of the suite in it."""
    whole = together(runs)
    first = runs[0] if runs else None
    suite_s = first.duration_s if first else 0.0
    least, most = gate_seconds(suite_s, config.policy)
    degraded = found.degraded
    if first is None:
        degraded = (
            "No tests were found. Name the command that runs them with `test_command` in "
            ".github/patchwright.yml."
        )
    return CheckReport(
        repository=repository,
        commit=commit,
        ready=not degraded,
        environment=found.environment.source,
        image=found.image,
        cached=found.cached,
        setup_s=round(max(found.duration_s - (0 if found.cached else suite_s), 0.0), 1),
        test_command=found.trial.command if found.trial else "",
        suite_s=round(suite_s, 1),
        tests=dict(Counter(result.outcome for result in first.results)) if first else {},
        runs=len(runs),
        failing=whole.failing[:MOST_NAMES],
        failing_count=len(whole.failing),
        flaky=whole.flaky[:MOST_NAMES],
        network=whole.network[:MOST_NAMES],
        slowest=whole.slowest,
        versions=versions,
        degraded=degraded,
        failed=tuple(str(error).splitlines()[0][:300] for error in found.failed),
        others=tuple(line[:300] for line in found.others),
        recipe=proposal(found.environment),
        gate_least_s=least,
        gate_most_s=most,
    )
