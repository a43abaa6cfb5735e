"""Sandboxes of runs as pods of a Kubernetes cluster.

A cluster keeps no image that a set-up made, so environments are not prepared: a sandbox starts from
the image that the repository's settings name, or from the operator's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from app.sandboxes.base import spec_of
from app.sandboxes.environment import EnvironmentRequest, PreparedEnvironment, SetupRepairer
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings
from app.telemetry import logs, metrics
from sandbox.environment.image_reference import permitted_reference
from sandbox.errors import SandboxError
from sandbox.kubernetes.access import cluster_access
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.protocol import Sandbox

_log = logs.get(__name__)


def kubernetes_engine(settings: Settings) -> KubernetesEngine:
    """The cluster that the settings name. Raises `SandboxError` with what to do."""
    return KubernetesEngine(
        cluster_access(settings.kubernetes_config, settings.kubernetes_context),
        settings.kubernetes_namespace,
        start_s=settings.kubernetes_start_s,
    )


def cluster_image(settings: Settings) -> str:
    """The image of sandboxes whose repository names none. Raises `SettingsError`."""
    if not settings.sandbox_image:
        raise SettingsError(
            f"A cluster needs an image that it can pull: push the one that `patchwright images "
            f"build` makes to your registry, and name it in {PREFIX}SANDBOX_IMAGE."
        )
    return settings.sandbox_image


class KubernetesSandboxes:
    """`app.sandboxes.base.Sandboxes` on a cluster."""

    def __init__(self, settings: Settings, engine: KubernetesEngine) -> None:
        self._settings = settings
        self._engine = engine
        self._images: dict[Path, str] = {}
        self._asked: set[str] = set()
        """Images that a repository names and the operator does not list."""

    async def open(
        self, run_id: str, purpose: str, tree_tar: Path, history: Path | None = None
    ) -> Sandbox:
        """A fresh sandbox with the tree in it, and perhaps its history. Raises `SandboxError`."""
        image = self._images.get(tree_tar) or cluster_image(self._settings)
        spec = spec_of(self._settings, image, run_id, purpose)
        spec = replace(spec, asks_registry=image in self._asked)
        with metrics.time_sandbox_opening():
            return await self._engine.open(spec, tree_tar, history)

    async def environment(self, tree_tar: Path) -> str:
        """The image that the tree's sandboxes start from; empty unless it is named by its digest.

        A tag does not say what the cluster's registry holds under it.
        """
        image = self._images.get(tree_tar) or cluster_image(self._settings)
        return image if "@sha256:" in image else ""

    async def prepare(
        self,
        run_id: str,
        tree_tar: Path,
        request: EnvironmentRequest,
        repairer: SetupRepairer | None = None,
    ) -> PreparedEnvironment | None:
        """Note the image that the repository's settings name; nothing is made.

        Raises `SandboxError` when they ask for what is not done on a cluster.
        """
        requested = request.settings
        if requested.setup or requested.dockerfile:
            raise SandboxError(
                "On Kubernetes, set-up commands and Dockerfiles are not run. Build an image that "
                "includes their results, and name it as `image` in .github/patchwright.yml."
            )
        if not requested.image:
            return None
        image, is_listed = permitted_reference(
            requested.image, self._settings.setup_image_registries, self._settings.setup_images
        )
        self._images = {path: image for path, image in self._images.items() if path.exists()}
        self._images[tree_tar] = str(image)
        if not is_listed:
            self._asked.add(str(image))
        _log.info("image named by the repository", run=run_id, image=str(image))
        return None

    async def attach(self, sandbox_id: str) -> Sandbox | None:
        """A live sandbox of an earlier process, or None."""
        return await self._engine.attach(sandbox_id, installation=self._settings.installation)

    async def sweep(self, keep_runs: Collection[str]) -> None:
        """Destroy what is left of all runs but these.

        Other Patchwrights' sandboxes in the namespace are let be.
        """
        swept = await self._engine.sweep(keep_runs, installation=self._settings.installation)
        if swept:
            _log.info("orphaned sandboxes destroyed", count=len(swept))
