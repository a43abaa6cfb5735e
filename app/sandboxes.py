"""Sandboxes for runs: what the settings say of them, put into the engine's terms."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from app import logs
from app.settings import Settings
from sandbox.docker_engine import DockerEngine, SandboxSpec
from sandbox.images import BASE_IMAGE
from sandbox.protocol import Sandbox

_log = logs.get(__name__)


class Sandboxes(Protocol):
    """Where runs get their sandboxes."""

    async def open(self, run_id: str, purpose: str, tree_tar: Path) -> Sandbox:
        """A fresh sandbox with the tree in it. Raises `SandboxError`."""
        ...

    async def attach(self, sandbox_id: str) -> Sandbox | None:
        """A live sandbox of an earlier process, or None."""
        ...

    async def sweep(self, keep_runs: Collection[str]) -> None:
        """Destroy what is left of all runs but these. Raises `SandboxError`."""
        ...


class DockerSandboxes:
    """`Sandboxes` on the Docker engine."""

    def __init__(self, settings: Settings, engine: DockerEngine) -> None:
        self._settings = settings
        self._engine = engine

    async def open(self, run_id: str, purpose: str, tree_tar: Path) -> Sandbox:
        """See `Sandboxes.open`."""
        spec = SandboxSpec(
            image=self._settings.sandbox_image or BASE_IMAGE,
            limits=self._settings.limits,
            run_id=run_id,
            purpose=purpose,
            runtime=self._settings.sandbox_runtime,
            installation=self._settings.installation,
        )
        return await self._engine.open(spec, tree_tar)

    async def attach(self, sandbox_id: str) -> Sandbox | None:
        """See `Sandboxes.attach`."""
        return await self._engine.attach(sandbox_id, installation=self._settings.installation)

    async def sweep(self, keep_runs: Collection[str]) -> None:
        """See `Sandboxes.sweep`. Other Patchwrights' sandboxes on the same engine are let be."""
        swept = await self._engine.sweep(keep_runs, installation=self._settings.installation)
        if swept:
            _log.info("orphaned sandboxes destroyed", count=len(swept))
