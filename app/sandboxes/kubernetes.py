"""Sandboxes of runs as pods of a Kubernetes cluster.

Environments are prepared where the operator has a registry for their images. Elsewhere a sandbox
starts from the image that the repository's settings name, or from the operator's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from app.sandboxes.base import spec_of
from app.sandboxes.cluster_environments import ClusterEnvironments, build_settings
from app.sandboxes.environment import (
    EnvironmentRequest,
    PreparedEnvironment,
    SetupRepairer,
)
from app.sandboxes.prepared_trees import PreparedTrees
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings
from app.telemetry import logs, metrics
from sandbox.environment.image_reference import permitted_reference
from sandbox.errors import ImageMissing, SandboxError
from sandbox.kubernetes.access import cluster_access
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.protocol import Sandbox
from sandbox.setup.cluster.images import forget as forget_image
from sandbox.setup.cluster.images import refuse_prepared
from sandbox.setup.cluster.images import sweep as sweep_jobs

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
        self._build = build_settings(settings)
        self._trees = PreparedTrees(settings)
        self._asked: set[str] = set()
        """Images that a repository names and the operator does not list."""

    async def open(
        self, run_id: str, purpose: str, tree_tar: Path, history: Path | None = None
    ) -> Sandbox:
        """A fresh sandbox with the tree in it, and perhaps its history. Raises `SandboxError`."""
        image = self._trees.image(tree_tar) or cluster_image(self._settings)
        spec = spec_of(self._settings, image, run_id, purpose)
        spec = replace(spec, asks_registry=image in self._asked)
        try:
            with metrics.time_sandbox_opening():
                return await self._engine.open(spec, tree_tar, history)
        except ImageMissing:
            if self._build is not None and image == self._trees.image(tree_tar):
                # The next set-up makes it again.
                self._trees.forget(tree_tar)
                namespace, own = self._build.namespace, spec.installation
                await forget_image(self._engine.api, namespace, image, installation=own)
            raise

    def share(self, tree_tar: Path, other: Path) -> None:
        """Have the sandboxes of another tree start from the image that this one's start from."""
        self._trees.share(tree_tar, other)

    async def environment(self, tree_tar: Path) -> str:
        """The image that the tree's sandboxes start from; empty unless it is named by its digest.

        A tag does not say what the cluster's registry holds under it. Empty, too, where a model
        chose the commands that made it.
        """
        if self._trees.is_made_by_model(tree_tar):
            return ""
        image = self._trees.image(tree_tar) or cluster_image(self._settings)
        return image if "@sha256:" in image else ""

    async def prepare(
        self,
        run_id: str,
        tree_tar: Path,
        request: EnvironmentRequest,
        repairer: SetupRepairer | None = None,
    ) -> PreparedEnvironment | None:
        """Have the image that the tree's sandboxes start from; None: nothing was to be done.

        Without a registry nothing is made: the image that the repository's settings name is noted.
        Raises `SandboxError`, also when they then ask for what is not done.
        """
        if self._build is None:
            self._note_image(run_id, tree_tar, request)
            return None
        engine = ClusterEnvironments(self._engine, self._settings, self._build)
        return await self._trees.prepare(engine, run_id, tree_tar, request, repairer)

    def _note_image(self, run_id: str, tree_tar: Path, request: EnvironmentRequest) -> None:
        requested = request.settings
        if requested.setup or requested.dockerfile:
            raise SandboxError(
                "On Kubernetes, set-up commands and Dockerfiles are run only if the operator has "
                f"configured a registry for their results ({PREFIX}KUBERNETES_REGISTRY). Build an "
                "image that includes them, and name it as `image` in .github/patchwright.yml."
            )
        if not requested.image:
            return
        settings = self._settings
        image, is_listed = permitted_reference(
            requested.image, settings.setup_image_registries, settings.setup_images
        )
        # Of a time when there was a registry.
        refuse_prepared(str(image), settings.kubernetes_registry)
        self._trees.note(tree_tar, str(image))
        if not is_listed:
            self._asked.add(str(image))
        _log.info("image named by the repository", run=run_id, image=str(image))

    async def attach(self, sandbox_id: str) -> Sandbox | None:
        """A live sandbox of an earlier process, or None."""
        return await self._engine.attach(sandbox_id, installation=self._settings.installation)

    async def sweep(self, keep_runs: Collection[str]) -> None:
        """Destroy what is left of all runs but these.

        Other Patchwrights' sandboxes in the namespace are let be.
        """
        swept = await self._engine.sweep(keep_runs, installation=self._settings.installation)
        if self._build is not None:
            swept += await sweep_jobs(
                self._engine.api,
                self._build.namespace,
                keep_runs,
                installation=self._settings.installation,
            )
        if swept:
            _log.info("orphaned sandboxes destroyed", count=len(swept))
