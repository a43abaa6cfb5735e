"""The set-up phase: an image with a repository's environment in it, made once and then kept.

Commands of the repository run in a container whose only way out is the egress proxy. What they
install outside of the tree is in the image; what they add to the tree (built extensions, packages
of Node) is kept beside it and joins the tree when a sandbox opens. The tree itself is not kept.

What is tried, under which key it is kept and when it is tried again is decided here, wherever the
images are made: on Docker's engine (`sandbox.setup.docker_images`) or in a cluster
(`sandbox.setup.cluster.images`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sandbox.environment.records import Environment, recipe_hash
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError
from sandbox.setup.records import PreparedEnvironment, Progress, SetupFailed


@dataclass(frozen=True, slots=True)
class ImageKey:
    """Under what an image is kept: for nothing else is it ever used."""

    recipe: str
    """Hash of all that decides the content."""
    scope: str
    """The repository, or its branches of less trust; empty: of no repository."""


class PreparedImages(Protocol):
    """Where images are made and kept."""

    async def base(self, environment: Environment) -> str:
        """The image that the environment starts from. Raises `SandboxError`."""
        ...

    async def content_id(self, image: str) -> str:
        """What tells an image from all others, by its content."""
        ...

    async def find(self, key: ImageKey) -> str:
        """The image that is kept under a key; empty: there is none. Notes the use."""
        ...

    async def make(
        self,
        environment: Environment,
        base: str,
        tree: Path | None,
        key: ImageKey,
        progress: Progress,
    ) -> str:
        """Make the image and keep it. The tree is None where none is needed.

        Raises `SetupFailed` when the environment's commands fail, other `SandboxError`s when the
        place does.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    """What candidates are prepared with; the tree is None where none is needed."""

    images: PreparedImages
    tree: Path | None
    tree_id: str
    scope: str
    owner: str
    waits_s: tuple[float, ...]
    progress: Progress


async def prepare(
    images: PreparedImages,
    tree: Path,
    tree_id: str,
    candidates: Sequence[Environment],
    *,
    base: str,
    scope: str,
    owner: str,
    waits_s: tuple[float, ...],
    progress: Progress = lambda _: None,
) -> PreparedEnvironment:
    """The image of the first candidate that works; `base` is the base image.

    An image is kept for the same `tree_id` (see `tree_hash`) in the same `scope` of the same
    `owner`, and for no other. `waits_s` are pauses before a set-up that the network failed is tried
    again.

    Raises `SetupFailed` when a candidate that was asked for, or every one, fails; other
    `SandboxError`s when the engine does.
    """
    job = _Job(images, tree, tree_id, scope, owner, waits_s, progress)
    begun = time.monotonic()
    failed: list[SetupFailed] = []
    for environment in candidates:
        if environment.is_bare:
            spent = time.monotonic() - begun
            return PreparedEnvironment(base, environment, True, spent, tuple(failed))
        try:
            image, cached = await _prepare_despite_network(job, environment)
        except SetupFailed as error:
            failed.append(error)
            progress(str(error))
            if environment.explicit:
                raise
            continue
        return PreparedEnvironment(
            image, environment, cached, time.monotonic() - begun, tuple(failed)
        )
    raise failed[-1] if failed else SandboxError("There is no environment to prepare")


async def _prepare_despite_network(job: _Job, environment: Environment) -> tuple[str, bool]:
    """One candidate, again after a pause where only the network failed it."""
    for wait_s in job.waits_s:
        try:
            return await _prepare_one(job, environment)
        except SetupFailed as error:
            if not error.is_network_fault:
                raise
            job.progress(
                f"The network failed at `{error.command}`; trying again in {wait_s:.0f} s …"
            )
        await asyncio.sleep(wait_s)
    return await _prepare_one(job, environment)


async def _prepare_toolchain(job: _Job, whole: Environment, least: Environment | None) -> str:
    """The image of a toolchain; of the least that will do where the whole cannot be had now."""
    try:
        return (await _prepare_one(job, whole))[0]
    except SetupFailed:
        if least is None:
            raise
    return (await _prepare_one(job, least))[0]


async def _prepare_one(job: _Job, environment: Environment) -> tuple[str, bool]:
    if (toolchain := environment.toolchain) is not None:
        try:
            image = await _prepare_toolchain(job, toolchain, environment.least_toolchain)
        except SetupFailed as error:
            raise SetupFailed(
                environment, error.command, error.why, error.log, error.refused
            ) from None
        environment = environment.on(image)
    if environment.is_toolchain:
        # Made without the tree, so that it may serve every repository.
        job = replace(job, tree=None, tree_id="", scope="")
    try:
        base = await job.images.base(environment)
    except (EngineUnavailable, ImageMissing):
        raise
    except SandboxError as error:
        raise SetupFailed(environment, f"FROM {environment.image}", str(error), "", ()) from None
    scope = f"{job.owner}:{job.scope}" if job.scope else ""
    content = await job.images.content_id(base)
    key = ImageKey(recipe_hash(environment, content, job.tree_id, scope), job.scope)
    if image := await job.images.find(key):
        return image, True
    job.progress(f"Preparing the environment by {environment.source} …")
    return await job.images.make(environment, base, job.tree, key, job.progress), False
