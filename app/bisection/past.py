"""The commits of a mirror as places to run a reproduction: implements `agent.bisection.Past`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from agent.bisection.bisect import CannotRun
from agent.bisection.records import Commit
from app.evaluation.sandboxes import Trees
from app.git import ancestry
from app.git.mirror import Mirror
from app.git.process import GitError
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError
from sandbox.protocol import Sandbox


class MirrorPast:
    """A mirror's history up to a commit; trees are written into a folder of the caller's."""

    def __init__(
        self,
        mirror: Mirror,
        commits: Sequence[Commit],
        trees: Trees,
        folder: Path,
        repository: str,
        places: int = 1,
    ) -> None:
        """`repository` tells its environments from all others'; `places`: commits side by side."""
        self._mirror = mirror
        self._commits = commits
        self._trees = trees
        self._folder = folder
        self._repository = repository
        self._places = places

    @property
    def commits(self) -> Sequence[Commit]:
        """The base commit and its ancestors, the newest first."""
        return self._commits

    @property
    def places(self) -> int:
        """How many commits may be tried side by side, as was asked."""
        return self._places

    def turn(self) -> AbstractAsyncContextManager[object]:
        """Nobody else searches."""
        return nullcontext()

    async def open(self, commit: str) -> Sandbox:
        """A fresh sandbox with a commit's tree, in the environment that its own files ask for.

        Raises `CannotRun`, `SandboxError`.
        """
        # A file of its own: two attempts may look at the same commit.
        tree = self._folder / f"{commit}-{secrets.token_hex(4)}.tar"
        try:
            return await self._open(commit, tree)
        finally:
            tree.unlink(missing_ok=True)  # forty trees of a large repository would fill the disk

    async def _open(self, commit: str, tree: Path) -> Sandbox:
        try:
            await asyncio.to_thread(self._mirror.tree_tar, commit, tree)
        except GitError as error:
            raise CannotRun(f"Its tree cannot be read: {error}") from None
        try:
            environment = await self._trees.environment(tree, self._repository, "")
        except (EngineUnavailable, ImageMissing):
            raise
        except SandboxError as error:
            raise CannotRun(f"Its environment cannot be made: {error}") from None
        return await self._trees.open(
            run_id=f"bisect-{commit[:12]}", purpose="bisect", image=environment.image, tree=tree
        )

    async def touching(self, paths: Collection[str]) -> Collection[str]:
        """The commits that changed one of these files."""
        return await asyncio.to_thread(
            ancestry.touching, self._mirror, self._commits[0].id, sorted(paths), len(self._commits)
        )
