"""The check of a repository for the command line, on this machine's engine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.check.measure import RUNS, measure
from app.check.report import CheckReport
from app.evaluation.repositories import Sources
from app.git.local import mirror_local
from app.git.process import run_git
from app.sandboxes.base import present_image, spec_of
from app.sandboxes.docker_environments import DockerEnvironments
from app.sandboxes.environment import environment_request, image_for
from app.sandboxes.local_environment import config_of_tree, describe_attempt, local_repairer
from app.sandboxes.orphans import own_sandboxes
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.errors import ImageMissing

RUN = "check"


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

    A set-up that fails may be repaired first by the settings' model, if there is one. `say` is
    told what is done. Raises `GitError`, `SettingsError`, `SandboxError`.
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
    found = await image_for(
        DockerEnvironments(engine, settings),
        settings,
        tree,
        replace(environment_request(name, config), always_try=True),
        run_id=RUN,
        installation=own,
        progress=say,
        repairer=local_repairer(settings, RUN, lambda tried: say(describe_attempt(tried))),
    )
    if found is None:
        raise ImageMissing("Set-up is switched off (PATCHWRIGHT_SETUP): there is nothing to check.")
    opened = partial(engine.open, spec_of(settings, found.image, RUN, RUN, own), tree)
    return await measure(
        request.repository, commit, tree, found, config, opened, say, runs=request.runs
    )
