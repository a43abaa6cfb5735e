"""The commits before a run's base as places to run things: implements `agent.bisection.Past`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from agent.bisection.bisect import CannotRun
from agent.bisection.records import Commit
from app.git import ancestry
from app.git.mirror import Mirror
from app.git.process import GitError
from app.runs import trees
from app.runs.active_run import ActiveRun
from app.sandboxes.environment import environment_request
from app.sandboxes.manifests import manifests_of
from app.telemetry import logs
from sandbox.environment.own_process import in_own_process
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError
from sandbox.protocol import Sandbox

_log = logs.get(__name__)


class RunPast:
    """A run's base commit and its ancestors, each in the environment that its own files ask for.

    Commits with the same manifests share one.
    """

    def __init__(
        self, run: ActiveRun, mirror: Mirror, clone_url: str, commits: Sequence[Commit], base: Path
    ) -> None:
        """`base`: the base commit's tree, whose environment is made."""
        self._run = run
        self._mirror = mirror
        self._clone_url = clone_url
        self._commits = commits
        self._base = base
        self._made: dict[str, Path] = {}
        """A tree whose environment is made, by what decides it."""
        self._preparing = asyncio.Lock()

    @property
    def commits(self) -> Sequence[Commit]:
        """The base commit and its ancestors, the newest first."""
        return self._commits

    @property
    def places(self) -> int:
        """As many as the worker has free beside the runs that it works on, within the setting."""
        settings = self._run.services.settings
        others = self._run.store.running_at(settings.executor) - 1
        return max(1, min(settings.bisect_sandboxes, settings.worker_concurrency - others))

    def turn(self) -> AbstractAsyncContextManager[object]:
        """One of the setting's places, which all searches of this process share."""
        return self._run.services.commit_trials

    async def open(self, commit: str) -> Sandbox:
        """A fresh sandbox with a commit's tree. Raises `CannotRun`, `SandboxError`."""
        run = self._run
        # A file of its own: two attempts may look at the same commit.
        tree = run.trees_dir / f"{run.record.id}-{commit}-{secrets.token_hex(4)}.tar"
        try:
            return await self._open(commit, tree)
        finally:
            # Thirty trees of a large repository would fill the disk.
            if tree not in self._made.values():
                tree.unlink(missing_ok=True)

    async def _open(self, commit: str, tree: Path) -> Sandbox:
        run = self._run
        try:
            await self._prepare(commit, tree)
        except GitError as error:
            raise CannotRun(f"Its tree cannot be read: {error}") from None
        except (EngineUnavailable, ImageMissing):
            raise
        except SandboxError as error:
            raise CannotRun(f"Its environment cannot be made: {error}") from None
        return await run.services.sandboxes.open(run.record.id, f"bisect-{commit[:12]}", tree)

    async def _prepare(self, commit: str, tree: Path) -> None:
        run, services = self._run, self._run.services
        config = await services.config(run.forge)
        places = self._mirror, commit, self._clone_url, tree
        await trees.write_tree_of(services, run.forge, config, *places)
        if services.prepare is None:
            return
        repository = f"{run.record.repository} [{run.record.repository_id}]"
        async with self._preparing:
            if not self._made:
                key = await in_own_process(manifests_of, self._base, repository, "")
                self._made[key] = self._base
            key = await in_own_process(manifests_of, tree, repository, "")
            if key not in self._made:
                default = (await run.forge.repository()).default_branch
                on_default = await asyncio.to_thread(self._mirror.is_on_branch, default, commit)
                request = environment_request(repository, config, "", on_default=on_default)
                await services.prepare(run.record.id, tree, request, None)
                self._made[key] = tree
            services.sandboxes.share(self._made[key], tree)

    async def touching(self, paths: Collection[str]) -> Collection[str]:
        """The commits that changed one of these files."""
        tip, most = self._commits[0].id, len(self._commits)
        return await asyncio.to_thread(ancestry.touching, self._mirror, tip, sorted(paths), most)


async def past_of(run: ActiveRun, commit: str, clone_url: str, base: Path) -> RunPast | None:
    """The past of a run's base; None where none is wanted, or git cannot read it."""
    config = await run.services.config(run.forge)
    if not config.history:
        return None
    mirror = await trees.mirror_with(run, commit, clone_url)
    most = run.services.settings.history_commits
    try:
        commits = await asyncio.to_thread(ancestry.log, mirror, commit, most)
    except GitError as error:  # the tree is there: the run can do without
        _log.warning("no older commits for the run", run=run.record.id, why=str(error))
        return None
    return RunPast(run, mirror, clone_url, commits, base)
