"""Sandboxes with the tree of one commit, for work that is no run and keeps no journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.git.mirror import Mirror
from app.github.forge import Forge
from app.github.records import Repository
from app.repo_config.effective import EffectiveConfig
from app.runs.services import Services
from app.runs.trees import write_tree_of
from app.sandboxes.environment import EnvironmentRequest, SetupRepairer
from sandbox.protocol import Sandbox
from sandbox.setup.records import PreparedEnvironment


@dataclass(frozen=True, slots=True)
class CommitSandboxes:
    """Where a commit's sandboxes come from."""

    tree: Path
    """The commit's tree as a tar file."""
    prepared: PreparedEnvironment | None
    """None: sandboxes are as they are."""
    open: Callable[[], Awaitable[Sandbox]]
    """A fresh sandbox with the tree."""


def scope_of(repository: Repository) -> str:
    """What set-ups and results of a repository are kept under: with its id, as a later repository
    of the same name must get nothing of this one."""
    return f"{repository.full_name} [{repository.id}]"


@asynccontextmanager
async def commit_sandboxes(
    services: Services,
    forge: Forge,
    config: EffectiveConfig,
    mirror: Mirror,
    commit: str,
    request: EnvironmentRequest,
    *,
    work_id: str,
    purpose: str,
    repairer: SetupRepairer | None = None,
    setup_commit: str = "",
) -> AsyncIterator[CommitSandboxes]:
    """Write the commit's tree and prepare its environment; both are let go at the end.

    `work_id` names the sandboxes and files; it must be one that the sweep of these knows. With
    `setup_commit` the environment is the one that this other commit's tree asks for. Raises
    `ForgeError`, `GitError`, `SandboxError`.
    """
    folder = services.settings.state_dir / "trees"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    clone_url = (await forge.repository()).clone_url
    tree = folder / f"{work_id}-{commit}.tar"
    files = [tree]
    try:
        await write_tree_of(services, forge, config, mirror, commit, clone_url, tree)
        if setup_commit:
            files.append(folder / f"{work_id}-{setup_commit}-set-up.tar")
            await write_tree_of(services, forge, config, mirror, setup_commit, clone_url, files[-1])
            request = replace(request, setup_tree=files[-1])
        prepared = None
        if services.prepare is not None:
            prepared = await services.prepare(work_id, tree, request, repairer)
        opened = partial(services.sandboxes.open, work_id, purpose, tree)
        yield CommitSandboxes(tree, prepared, opened)
    finally:
        for file in files:
            await asyncio.to_thread(file.unlink, missing_ok=True)
