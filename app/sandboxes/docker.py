"""Sandboxes for runs: what the settings say about them, put into the engine's terms."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from app.sandboxes.base import spec_of
from app.sandboxes.docker_environments import DockerEnvironments
from app.sandboxes.environment import (
    EnvironmentRequest,
    PreparedEnvironment,
    SetupRepairer,
)
from app.sandboxes.prepared_trees import PreparedTrees
from app.settings.schema import Settings
from app.telemetry import logs, metrics
from sandbox.docker.engine import DockerEngine
from sandbox.docker.pool import POOL_RUN, WarmPool
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox

_log = logs.get(__name__)


class DockerSandboxes:
    """`Sandboxes` on the Docker engine."""

    def __init__(self, settings: Settings, engine: DockerEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._trees = PreparedTrees(settings)
        self._pool = WarmPool(
            engine,
            size=settings.pool_size,
            images=settings.pool_images,
            failed=lambda error: _log.warning("no sandbox kept ready", why=str(error)),
        )

    async def open(
        self, run_id: str, purpose: str, tree_tar: Path, history: Path | None = None
    ) -> Sandbox:
        """A fresh sandbox with the tree in it, and perhaps its history.

        From the image that `prepare` made for the tree, if it did.
        """
        image = self._trees.image(tree_tar) or self._settings.sandbox_image or BASE_IMAGE
        spec = spec_of(self._settings, image, run_id, purpose)
        with metrics.time_sandbox_opening():
            return await self._pool.open(spec, tree_tar, history)

    def share(self, tree_tar: Path, other: Path) -> None:
        """Have the sandboxes of another tree start from the image that this one's start from."""
        self._trees.share(tree_tar, other)

    async def environment(self, tree_tar: Path) -> str:
        """The id of the image that the tree's sandboxes start from, by its content.

        Empty where the engine does not hold it, or a model chose the commands that made it. Raises
        `SandboxError`.
        """
        if self._trees.is_made_by_model(tree_tar):
            return ""
        image = self._trees.image(tree_tar) or self._settings.sandbox_image or BASE_IMAGE
        return await self._engine.image_id(image)

    async def prepare(
        self,
        run_id: str,
        tree_tar: Path,
        request: EnvironmentRequest,
        repairer: SetupRepairer | None = None,
    ) -> PreparedEnvironment | None:
        """Have the image that the tree's sandboxes start from; None: nothing was to be done.

        Raises `SandboxError`.
        """
        engine = DockerEnvironments(self._engine, self._settings)
        return await self._trees.prepare(engine, run_id, tree_tar, request, repairer)

    async def close(self) -> None:
        """Remove the sandboxes that wait for runs."""
        await self._pool.close()

    async def attach(self, sandbox_id: str) -> Sandbox | None:
        """A live sandbox of an earlier process, or None."""
        return await self._engine.attach(sandbox_id, installation=self._settings.installation)

    async def sweep(self, keep_runs: Collection[str]) -> None:
        """Destroy what is left of all runs but these.

        Other Patchwrights' sandboxes on the same engine are let be.
        """
        keep = {*keep_runs, POOL_RUN}
        swept = await self._engine.sweep(keep, installation=self._settings.installation)
        if swept:
            _log.info("orphaned sandboxes destroyed", count=len(swept))
