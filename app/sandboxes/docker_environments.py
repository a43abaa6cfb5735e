"""Environments on Docker's engine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from app.sandboxes.environment import EnvironmentRequest
from app.sandboxes.toolchains import FOLDER, ToolchainNotes
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.environment.versions.available import BaseImage, Offers
from sandbox.environment.versions.records import Tool, Version
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Sandbox
from sandbox.setup.container import SetupSpec
from sandbox.setup.docker_images import DockerImages
from sandbox.setup.prepared_images import prune
from sandbox.setup.records import SetupPolicy
from sandbox.setup.toolchains import image_versions, other_bases
from sandbox.spec import SandboxSpec


class DockerEnvironments:
    """`EnvironmentEngine` on Docker."""

    def __init__(self, engine: DockerEngine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self.base_image = settings.sandbox_image or BASE_IMAGE

    async def offers(self, request: EnvironmentRequest) -> Offers:
        """What the base images on the engine have, and what registries and mirrors give."""
        settings = self._settings
        network = settings.setup_network and request.network
        names = (self.base_image, *await other_bases(self._engine))
        images = [BaseImage(name, await self._versions(name)) for name in names]
        return Offers(
            base=images[0],
            others=tuple(images[1:]),
            registry=network and "docker.io" in settings.setup_image_registries,
            python_mirror=settings.setup_python_mirror if network else "",
            npm=network,
        )

    async def _versions(self, image: str) -> dict[Tool, Version]:
        """What an image has; nothing where the engine does not hold it."""
        content = await self._engine.image_id(image)
        if not content:
            return {}
        notes = ToolchainNotes(self._settings.state_dir / FOLDER)
        return await notes.versions(content, partial(image_versions, self._engine, image))

    def images(self, spec: SetupSpec, policy: SetupPolicy) -> DockerImages:
        """The images that set-ups make on the engine."""
        return DockerImages(self._engine, spec, policy)

    async def open(self, spec: SandboxSpec, tree: Path) -> Sandbox:
        """A container with the tree in it."""
        return await self._engine.open(spec, tree)

    async def content_id(self, image: str) -> str:
        """The image's own hash; empty where the engine does not hold it."""
        return await self._engine.image_id(image)

    async def tidy(self) -> None:
        """Remove images unused for long, and those beyond the room for them."""
        settings = self._settings
        await prune(
            self._engine,
            settings.installation,
            most_bytes=settings.images_mb * 1024**2,
            most_days=settings.images_days,
        )
