"""The set-up phase: an image with a repository's environment in it, made once and then kept.

Commands of the repository run in a container whose only way out is the egress proxy. What they
install outside of the tree is in the image; what they add to the tree (built extensions, packages
of Node) is kept beside it and joins the tree when a sandbox opens. The tree itself is not kept.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.docker.engine import DockerEngine
from sandbox.docker.plain_image import DEFAULT_PATH
from sandbox.egress.proxy import EgressProxy
from sandbox.environment.compiled import OFFLINE, ONLINE
from sandbox.environment.records import Environment, recipe_hash
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError
from sandbox.images.base_image import registry_answers
from sandbox.setup.container import SetupSpec, as_list, relay_options, setup_options
from sandbox.setup.disk_use import disk_space
from sandbox.setup.named_images import PullLimit, named_image
from sandbox.setup.network import proxy_relay
from sandbox.setup.prepared_images import (
    PREPARED_LABEL,
    REPOSITORY,
    SCOPE_LABEL,
    SOURCE_LABEL,
    image_environment,
    image_id,
    use_image,
)
from sandbox.setup.records import PreparedEnvironment, Progress, SetupFailed, SetupPolicy
from sandbox.setup.run import Setup
from sandbox.spec import COMMAND_USER, INSTALLATION_LABEL, RUN_LABEL

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
LONGEST_VALUE = 65_536
"""Characters of an environment variable. The kernel takes twice as many."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What candidates are prepared with; the tree is None where none is needed."""

    engine: DockerEngine
    tree: Path | None
    tree_id: str
    spec: SetupSpec
    policy: SetupPolicy
    scope: str
    progress: Progress


async def prepare(
    engine: DockerEngine,
    tree: Path,
    tree_id: str,
    candidates: Sequence[Environment],
    spec: SetupSpec,
    policy: SetupPolicy,
    *,
    scope: str,
    progress: Progress = lambda _: None,
) -> PreparedEnvironment:
    """The image of the first candidate that works; `spec.image` is the base image.

    An image is kept for the same `tree_id` (see `tree_hash`) in the same `scope`, and for no other.

    Raises `SetupFailed` when a candidate that was asked for, or every one, fails; other
    `SandboxError`s when the engine does.
    """
    job = _Job(engine, tree, tree_id, spec, policy, scope, progress)
    begun = time.monotonic()
    failed: list[SetupFailed] = []
    for environment in candidates:
        if environment.is_bare:
            spent = time.monotonic() - begun
            return PreparedEnvironment(spec.image, environment, True, spent, tuple(failed))
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
    for wait_s in job.policy.network_waits_s:
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


async def _prepare_one(job: _Job, environment: Environment) -> tuple[str, bool]:
    if (toolchain := environment.toolchain) is not None:
        try:
            image, _ = await _prepare_one(job, toolchain)
        except SetupFailed as error:
            raise SetupFailed(
                environment, error.command, error.why, error.log, error.refused
            ) from None
        environment = environment.on(image)
    if environment.is_toolchain:
        # Made without the tree, so that it may serve every repository.
        job = replace(job, tree=None, tree_id="", scope="")
    engine, policy = job.engine, job.policy
    try:
        base = await _base(engine, environment, job.spec, policy)
    except (EngineUnavailable, ImageMissing):
        raise
    except SandboxError as error:
        raise SetupFailed(environment, f"FROM {environment.image}", str(error), "", ()) from None
    scope = f"{job.spec.owner}:{job.scope}" if job.scope else ""
    recipe = recipe_hash(environment, await image_id(engine, base), job.tree_id, scope)
    if tag := await use_image(engine, recipe):
        return tag, True
    job.progress(f"Preparing the environment by {environment.source} …")
    spec = replace(job.spec, image=base)
    proxy = None
    if policy.network:
        proxy = EgressProxy(policy.rules, ca_file=str(policy.ca_file or ""))
    variables = await _variables(engine, base, environment)
    async with (
        proxy_relay(engine, spec, policy.relay_image, proxy) as relay,
        engine.container(setup_options(spec, relay)) as container_id,
    ):
        container = await engine.container_of(container_id)
        setup = Setup(engine, container, relay, spec, environment, policy, proxy, variables)
        await setup.run(job.tree, job.progress)
        labels = {
            PREPARED_LABEL: recipe,
            SCOPE_LABEL: job.scope,
            SOURCE_LABEL: environment.source[:200],
            INSTALLATION_LABEL: spec.owner or spec.installation,
            RUN_LABEL: "",
        }
        # What is shared is a set-up's base, which has a network.
        offline = {} if environment.is_toolchain else dict(OFFLINE)
        kept = as_list({**variables, **offline})
        config = {"Env": kept, "Labels": labels, "User": COMMAND_USER}
        await engine.call(lambda client: _commit(client, container_id, recipe, config))
    return f"{REPOSITORY}:{recipe}", False


async def _base(
    engine: DockerEngine, environment: Environment, spec: SetupSpec, policy: SetupPolicy
) -> str:
    """The image that the set-up starts from: ours, the operator's, or a foreign one made plain."""
    if environment.parent or not environment.image:
        return await engine.plain(environment.parent or environment.base or spec.image)
    if environment.official and not await registry_answers(engine, environment.image):
        raise SandboxError(f"No registry says that it has {environment.image}.")
    async with engine.container(relay_options(spec, policy.relay_image)) as looking:

        async def free() -> int:
            found = await engine.call(lambda client: disk_space(client, looking))
            return found.size_bytes

        limit = PullLimit(policy.disk_bytes, free)
        registries, held = policy.image_registries, policy.held_images
        return await named_image(engine, environment.image, registries, held, limit)


def _commit(client: Any, container_id: str, recipe: str, config: dict[str, Any]) -> None:
    client.api.commit(container_id, repository=REPOSITORY, tag=recipe, conf=config)


async def _variables(engine: DockerEngine, base: str, environment: Environment) -> dict[str, str]:
    """The image's variables with the environment's own, in which earlier ones are put in."""
    known = {"PATH": DEFAULT_PATH, **await image_environment(engine, base)}
    if environment.parent:  # A prepared image is for runs, which have no network.
        known |= ONLINE
    for name, value in environment.variables:
        try:
            known[name] = with_variables(value, known)
        except ValueError as error:
            raise SetupFailed(environment, f"ENV {name}", str(error), "", ()) from None
    return known


def with_variables(value: str, known: Mapping[str, str]) -> str:
    """A value with the variables' values in place of their names.

    Raises `ValueError` when it gets long: a few that name each other can stand for a text without
    end.
    """
    size = len(value)

    def put(name: re.Match[str]) -> str:
        nonlocal size
        text = known.get(name[1] or name[2], "")
        size += len(text)
        if size > LONGEST_VALUE:
            raise ValueError(f"the value is longer than {LONGEST_VALUE} characters")
        return text

    return _VARIABLE.sub(put, value)
