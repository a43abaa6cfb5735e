"""Prepared images on Docker's engine: made in a container there, and kept there."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.docker.engine import DockerEngine
from sandbox.docker.plain_image import DEFAULT_PATH
from sandbox.docker.prepared_volume import (
    REPOSITORY,
    VOLUME_BYTES_LABEL,
    VOLUME_LABEL,
    volume_of,
)
from sandbox.egress.proxy import EgressProxy
from sandbox.environment.compiled import OFFLINE, ONLINE
from sandbox.environment.records import Environment
from sandbox.errors import SandboxError
from sandbox.images.base_image import registry_answers
from sandbox.setup.container import SetupSpec, as_list, relay_options, setup_options
from sandbox.setup.disk_use import disk_space
from sandbox.setup.named_images import PullLimit, named_image
from sandbox.setup.network import proxy_relay
from sandbox.setup.prepare import ImageKey, prepare
from sandbox.setup.prepared_images import (
    SCOPE_LABEL,
    SOURCE_LABEL,
    image_environment,
    image_id,
    use_image,
)
from sandbox.setup.records import PreparedEnvironment, Progress, SetupFailed, SetupPolicy
from sandbox.setup.run import Setup
from sandbox.setup.variables import with_variables
from sandbox.spec import COMMAND_USER, INSTALLATION_LABEL, PREPARED_LABEL, RUN_LABEL


class DockerImages:
    """`PreparedImages` on an engine, for set-ups as `spec` and `policy` say."""

    def __init__(self, engine: DockerEngine, spec: SetupSpec, policy: SetupPolicy) -> None:
        """`spec.image` is the base image."""
        self._engine = engine
        self._spec = spec
        self._policy = policy

    async def base(self, environment: Environment) -> str:
        """The image that the set-up starts from: ours, the operator's, or a foreign one made
        plain. Raises `SandboxError`.
        """
        engine, policy = self._engine, self._policy
        if environment.parent or not environment.image:
            return await engine.plain(environment.parent or environment.base or self._spec.image)
        if environment.official and not await registry_answers(engine, environment.image):
            raise SandboxError(f"No registry says that it has {environment.image}.")
        async with engine.container(relay_options(self._spec, policy.relay_image)) as looking:

            async def free() -> int:
                found = await engine.call(lambda client: disk_space(client, looking))
                return found.size_bytes

            limit = PullLimit(policy.disk_bytes, free)
            registries, held = policy.image_registries, policy.held_images
            return await named_image(engine, environment.image, registries, held, limit)

    async def content_id(self, image: str) -> str:
        """The image's own hash; empty when the engine does not hold it."""
        return await image_id(self._engine, image)

    async def find(self, key: ImageKey) -> str:
        """The tag of the image that is kept under a key; empty: there is none."""
        return await use_image(self._engine, key.recipe)

    async def make(
        self,
        environment: Environment,
        base: str,
        tree: Path | None,
        key: ImageKey,
        progress: Progress,
    ) -> str:
        """Run the set-up in a container, and keep what that has become."""
        engine, policy = self._engine, self._policy
        spec = replace(self._spec, image=base)
        proxy = None
        if policy.network:
            proxy = EgressProxy(policy.rules, ca_file=str(policy.ca_file or ""))
        variables = await _variables(engine, base, environment)
        before = await engine.call(lambda client: volume_of(client, base))
        labels = {
            PREPARED_LABEL: key.recipe,
            SCOPE_LABEL: key.scope,
            SOURCE_LABEL: environment.source[:200],
            INSTALLATION_LABEL: spec.owner or spec.installation,
            RUN_LABEL: "",
        }
        # Another worker may be at the same recipe.
        name = f"patchwright-prepared-{key.recipe[:12]}-{secrets.token_hex(6)}"
        async with (
            engine.volume(name, labels, policy.relay_image) as volume,
            proxy_relay(engine, spec, policy.relay_image, proxy) as relay,
            engine.container(setup_options(spec, relay, volume, before)) as container_id,
        ):
            container = await engine.container_of(container_id)
            setup = Setup(
                engine, container, relay, volume, spec, environment, policy, proxy, variables
            )
            await setup.run(tree, progress)
            labels |= {VOLUME_LABEL: volume, VOLUME_BYTES_LABEL: str(setup.volume_bytes)}
            # What is shared is a set-up's base, which has a network.
            offline = {} if environment.is_toolchain else dict(OFFLINE)
            kept = as_list({**variables, **offline})
            config = {"Env": kept, "Labels": labels, "User": COMMAND_USER}
            await engine.call(lambda client: _commit(client, container_id, key.recipe, config))
        return f"{REPOSITORY}:{key.recipe}"


async def prepare_on_engine(
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
    """`prepare` on an engine."""
    return await prepare(
        DockerImages(engine, spec, policy),
        tree,
        tree_id,
        candidates,
        base=spec.image,
        scope=scope,
        owner=spec.owner,
        waits_s=policy.network_waits_s,
        progress=progress,
    )


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
