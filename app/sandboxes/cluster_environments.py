"""Environments on a Kubernetes cluster whose operator has a registry for their images."""

from __future__ import annotations

import io
import tarfile
import tempfile
from functools import partial
from pathlib import Path

from app.sandboxes.base import spec_of
from app.sandboxes.environment import EnvironmentRequest
from app.sandboxes.toolchains import FOLDER, ToolchainNotes
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings
from sandbox.environment.versions.available import BaseImage, Offers
from sandbox.environment.versions.probe import PROBE, read_answer
from sandbox.environment.versions.records import Tool, Version
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.protocol import Sandbox
from sandbox.setup.cluster.images import ClusterImages
from sandbox.setup.cluster.job import BuildSettings
from sandbox.setup.container import SetupSpec
from sandbox.setup.records import SetupPolicy
from sandbox.spec import SandboxSpec

_ASK_S = 30.0


def build_settings(settings: Settings) -> BuildSettings | None:
    """What the operator's cluster has for set-ups; None: nothing.

    Raises `SettingsError` where something is missing.
    """
    if not settings.kubernetes_registry or not settings.setup:
        return None
    for name in ("kubernetes_builder_image", "kubernetes_copier_image"):
        if not getattr(settings, name):
            raise SettingsError(
                f"{PREFIX}{name.upper()} is missing: set-ups on Kubernetes, which "
                f"{PREFIX}KUBERNETES_REGISTRY turns on, need it."
            )
    return BuildSettings(
        namespace=settings.kubernetes_setup_namespace,
        registry=settings.kubernetes_registry,
        builder_image=settings.kubernetes_builder_image,
        copier_image=settings.kubernetes_copier_image,
        secret=settings.kubernetes_registry_secret,
        ca_config_map=settings.kubernetes_registry_ca,
        registry_hosts=settings.kubernetes_registry_hosts,
        keep_s=int(settings.images_days * 86400),
    )


class ClusterEnvironments:
    """`EnvironmentEngine` on a cluster."""

    def __init__(self, engine: KubernetesEngine, settings: Settings, build: BuildSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._build = build
        self.base_image = settings.sandbox_image

    async def offers(self, request: EnvironmentRequest) -> Offers:
        """What the base image has, and what registries and mirrors give."""
        settings, image = self._settings, self.base_image
        network = settings.setup_network and request.network
        if "@sha256:" in image:
            notes = ToolchainNotes(settings.state_dir / FOLDER)
            versions = await notes.versions(image, partial(self._versions, image))
        else:
            versions = await self._versions(image)
        return Offers(
            base=BaseImage(image, versions),
            registry=network and "docker.io" in settings.setup_image_registries,
            python_mirror=settings.setup_python_mirror if network else "",
            npm=network,
        )

    def images(self, spec: SetupSpec, policy: SetupPolicy) -> ClusterImages:
        """The images that set-ups make in the cluster."""
        return ClusterImages(self._engine.api, self._build, spec, policy)

    async def open(self, spec: SandboxSpec, tree: Path) -> Sandbox:
        """A pod with the tree in it."""
        return await self._engine.open(spec, tree)

    async def content_id(self, image: str) -> str:
        """The reference, if it is a digest's; else what it names may change."""
        return image if "@sha256:" in image else ""

    async def tidy(self) -> None:
        """Nothing: the registry has its own rules, and Jobs end their own time."""

    async def _versions(self, image: str) -> dict[Tool, Version]:
        """What an image has, by the word of a sandbox of it."""
        with tempfile.TemporaryDirectory(prefix="patchwright-probe-") as folder:
            tree = Path(folder) / "tree.tar"
            with tarfile.open(tree, "w") as archive:
                archive.addfile(tarfile.TarInfo("empty"), io.BytesIO())
            box = await self._engine.open(spec_of(self._settings, image, "probe", "probe"), tree)
            try:
                answer = await box.run(PROBE, timeout_s=_ASK_S)
            finally:
                await box.close()
        return read_answer(answer.text)
