"""What the settings say about a sandbox, in the engine's terms."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.errors import ImageMissing
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox
from sandbox.spec import SandboxSpec


def spec_of(
    settings: Settings, image: str, run_id: str, purpose: str, installation: str = ""
) -> SandboxSpec:
    """A sandbox of this run from this image; `installation` where it is not the settings' own."""
    return SandboxSpec(
        image=image,
        limits=settings.limits,
        run_id=run_id,
        purpose=purpose,
        runtime=settings.sandbox_runtime,
        installation=installation or settings.installation,
    )


async def present_image(engine: DockerEngine, settings: Settings) -> str:
    """The image that sandboxes start from where nothing else is asked for.

    Raises `EngineUnavailable`, and `ImageMissing` where the engine does not hold it.
    """
    await engine.check()
    image = settings.sandbox_image or BASE_IMAGE
    if not await engine.has_image(image):
        raise ImageMissing(f"the sandbox image {image} is missing; run `patchwright images build`")
    return image


class Sandboxes(Protocol):
    """Where runs get their sandboxes."""

    async def open(
        self, run_id: str, purpose: str, tree_tar: Path, history: Path | None = None
    ) -> Sandbox:
        """A fresh sandbox with the tree in it, and perhaps its history. Raises `SandboxError`."""
        ...

    def share(self, tree_tar: Path, other: Path) -> None:
        """Have the sandboxes of another tree start from the image that this one's start from."""
        ...

    async def environment(self, tree_tar: Path) -> str:
        """What tells the image of this tree's sandboxes from all others, by its content.

        Empty where that is not known, or where a model chose what was run to make it.
        """
        ...

    async def attach(self, sandbox_id: str) -> Sandbox | None:
        """A live sandbox of an earlier process, or None."""
        ...

    async def sweep(self, keep_runs: Collection[str]) -> None:
        """Destroy what is left of all runs but these. Raises `SandboxError`."""
        ...
