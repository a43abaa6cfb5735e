"""Which image each tree's sandboxes start from, as long as the tree is there."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

from app.sandboxes.environment import EnvironmentEngine, EnvironmentRequest, image_for
from app.sandboxes.setup_repair import SetupRepairer, is_found_by_model
from app.settings.schema import Settings
from app.telemetry import metrics
from sandbox.setup.records import PreparedEnvironment


class PreparedTrees:
    """What was prepared by this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._images: dict[Path, str] = {}
        self._made_by_model: set[Path] = set()
        # Runs of one repository that begin together need its environment made only once.
        self._preparing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def share(self, tree: Path, other: Path) -> None:
        """Take the image that was prepared for one tree for another as well."""
        if image := self.image(tree):
            self._images[other] = image
            if tree in self._made_by_model:
                self._made_by_model.add(other)

    def image(self, tree: Path) -> str:
        """The tree's image; empty: none was prepared."""
        return self._images.get(tree, "")

    def is_made_by_model(self, tree: Path) -> bool:
        """Whether a model chose the commands that made it."""
        return tree in self._made_by_model

    def note(self, tree: Path, image: str) -> None:
        """This image is the tree's."""
        self._images = {path: image for path, image in self._images.items() if path.exists()}
        self._images[tree] = image

    def forget(self, tree: Path) -> None:
        """The tree's image is not there any more."""
        self._images.pop(tree, None)

    async def prepare(
        self,
        engine: EnvironmentEngine,
        run_id: str,
        tree: Path,
        request: EnvironmentRequest,
        repairer: SetupRepairer | None,
    ) -> PreparedEnvironment | None:
        """Have the tree's image made, unless it is; None: nothing was to be done.

        Raises `SandboxError`.
        """
        async with self._preparing[request.repository]:
            if tree in self._images:
                return None
            with metrics.time_environment():
                prepared = await image_for(
                    engine,
                    self._settings,
                    request.setup_tree or tree,
                    request,
                    run_id=run_id,
                    installation=self._settings.installation,
                    repairer=repairer,
                )
            if prepared is not None:
                self.note(tree, prepared.image)
                if is_found_by_model(prepared.environment.source):
                    self._made_by_model.add(tree)
            return prepared
