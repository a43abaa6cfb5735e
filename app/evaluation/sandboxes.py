"""Where an evaluation's sandboxes come from: the engine, and each tree's own environment."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from app.sandboxes.base import present_image, spec_of
from app.sandboxes.local_environment import LocalEnvironment, prepare_local_environment
from app.sandboxes.manifests import manifests_of
from app.sandboxes.orphans import own_sandboxes
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox


class Trees(Protocol):
    """Finds the environment of a tree and opens sandboxes that hold it."""

    async def environment(self, tree: Path, repository: str, about: str) -> LocalEnvironment:
        """What the tree's sandboxes start from, made if need be. Raises `SandboxError`."""
        ...

    async def image_id(self, image: str) -> str:
        """What tells an image's content from all others (empty `image`: the plain one's)."""
        ...

    async def open(
        self, *, run_id: str, purpose: str, image: str, tree: Path, history: Path | None = None
    ) -> Sandbox:
        """A fresh sandbox; empty `image`: the plain one. Raises `SandboxError`."""
        ...


class DockerTrees:
    """`Trees` on the Docker engine."""

    def __init__(
        self,
        settings: Settings,
        engine: DockerEngine,
        installation: str,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._installation = installation
        self._say = say
        self._found: dict[str, LocalEnvironment] = {}
        """Environments by what determines them: commits with the same manifests share one."""
        # Instances of one repository that begin together need its environment made only once.
        self._preparing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def environment(self, tree: Path, repository: str, about: str) -> LocalEnvironment:
        """What the tree's sandboxes start from, made if need be. Raises `SandboxError`."""
        async with self._preparing[repository]:
            key = await asyncio.to_thread(manifests_of, tree, repository, about)
            found = self._found.get(key)
            if found is None:
                found = await prepare_local_environment(
                    self._engine,
                    self._settings,
                    tree,
                    repository,
                    about,
                    run_id=f"eval-{hashlib.sha256(str(tree).encode()).hexdigest()[:12]}",
                    installation=self._installation,
                    say=self._say,
                )
                if not found.network_away:
                    self._found[key] = found
            return found

    async def image_id(self, image: str) -> str:
        """What tells an image's content from all others (empty `image`: the plain one's)."""
        return await self._engine.image_id(self._named(image))

    def _named(self, image: str) -> str:
        return image or self._settings.sandbox_image or BASE_IMAGE

    async def open(
        self, *, run_id: str, purpose: str, image: str, tree: Path, history: Path | None = None
    ) -> Sandbox:
        """A fresh sandbox; empty `image`: the plain one. Raises `SandboxError`."""
        image = self._named(image)
        spec = spec_of(self._settings, image, run_id, purpose, self._installation)
        return await self._engine.open(spec, tree, history)


@asynccontextmanager
async def docker_trees(
    settings: Settings, say: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Trees]:
    """Sandboxes on the Docker engine, of which none outlives the block.

    What killed commands left is destroyed first. Raises `ImageMissing`, `EngineUnavailable`.
    """
    engine = DockerEngine(settings.docker_url)
    try:
        await present_image(engine, settings)
        async with own_sandboxes(engine) as own:
            yield DockerTrees(settings, engine, own, say)
    finally:
        await engine.close()
