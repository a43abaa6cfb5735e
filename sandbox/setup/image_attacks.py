"""Attacks by images: what a repository may name, and what an image may bring along. Docker alone.

The images are made for the attack of the layers that the base image has, and removed after it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker

from sandbox.attacks.target import SMALL, Attack, Escaped, Target
from sandbox.docker.engine import DockerEngine
from sandbox.docker.plain_image import Description, description, load, variables
from sandbox.docker.prepared_volume import REPOSITORY, VOLUME_LABEL
from sandbox.environment.image_reference import DOCKER_HUB
from sandbox.environment.records import Environment, Step, recipe_hash
from sandbox.environment.tree import tree_hash
from sandbox.errors import SandboxError
from sandbox.setup.named_images import named_image
from sandbox.setup.prepared_images import image_environment, use_image
from sandbox.spec import INSTALLATION_LABEL, PREPARED_LABEL, SandboxSpec

_NO_REGISTRY = "127.0.0.1:1"
"""Nothing listens there."""
_SETTINGS = {
    "Volumes": {"/data": {}, "/var/cache": {}},
    "Healthcheck": {"Test": ["CMD-SHELL", "touch /tmp/checked"], "Interval": 1_000_000_000},
    "Entrypoint": ["/bin/false"],
    "OnBuild": ["RUN false"],
    "StopSignal": "SIGCONT",
    "User": "0:0",
    "WorkingDir": "/data",
    "ExposedPorts": {"80/tcp": {}},
    "Labels": {"traefik.enable": "true"},
}


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """The engine, and a sandbox to ask of it, whose image is the base of those that attack."""

    engine: DockerEngine
    spec: SandboxSpec

    @asynccontextmanager
    async def image(self, name: str, config: Mapping[str, Any]) -> AsyncIterator[str]:
        """An image that the engine holds under a name, with these settings; returns its id."""

        def make(client: docker.DockerClient) -> str:
            attributes = client.images.get(self.spec.image).attrs
            plain = description(attributes, variables(attributes["Config"]))
            whole = json.loads(plain.text)
            # Each attack's image is another one.
            labels = {"attack": secrets.token_hex(4), **config.get("Labels", {})}
            whole["config"] |= {**config, "Labels": labels}
            made = load(client, Description(json.dumps(whole).encode(), plain.layers))
            client.images.get(made).tag(*name.rsplit(":", 1))
            return made

        made = await self.engine.call(make)
        try:
            yield made
        finally:
            await self.engine.call(lambda client: client.images.remove(made, force=True))

    async def must_refuse(self, name: str, *, listed: tuple[str, ...] = ()) -> None:
        """Raise `Escaped` when a repository that names this image is given one."""
        try:
            given = await named_image(self.engine, name, (DOCKER_HUB, _NO_REGISTRY), listed)
        except SandboxError:
            return
        raise Escaped(f"a repository that names {name} was given {given}")

    async def must_not_mount(self, spec: SandboxSpec, tree: Path, volume: str) -> None:
        """Raise `Escaped` when a sandbox of this image is given a volume."""
        try:
            box = await self.engine.open(spec, tree)
        except SandboxError:
            return
        try:
            found = await self.engine.call(lambda client: client.containers.get(box.id).attrs)
        finally:
            await box.close()
        if found["Mounts"]:
            raise Escaped(f"a sandbox of {spec.image} was given {volume}")


async def by_id(images: ImageTarget, target: Target) -> None:
    """The id of another repository's prepared image, and every beginning of it."""
    name = f"{REPOSITORY}:attack-{secrets.token_hex(6)}"
    async with images.image(name, {"Labels": {PREPARED_LABEL: "attack"}}) as made:
        short = made.removeprefix("sha256:")
        for length in (*range(1, 17), len(short)):
            await images.must_refuse(short[:length])
            await images.must_refuse(f"sha256:{short[:length]}")


async def by_own_name(images: ImageTarget, target: Target) -> None:
    """Another repository's prepared image by the name that this program gave it."""
    name = f"{REPOSITORY}:attack-{secrets.token_hex(6)}"
    async with images.image(name, {"Labels": {PREPARED_LABEL: "attack"}}):
        for prefix in ("", "docker.io/", "index.docker.io/", "registry-1.docker.io/"):
            await images.must_refuse(prefix + name)
        await images.must_refuse(name, listed=(name,))


async def held_for_another(images: ImageTarget, target: Target) -> None:
    """An image that the engine fetched for another repository, while its registry is silent."""
    name = f"{_NO_REGISTRY}/acme/private:{secrets.token_hex(6)}"
    async with images.image(name, {}):
        await images.must_refuse(name)


async def settings_of_an_image(images: ImageTarget, target: Target) -> None:
    """Volumes, a health check, an entry point and the rest of what an image can ask for."""
    name = f"{_NO_REGISTRY}/acme/settings:{secrets.token_hex(6)}"
    async with images.image(name, _SETTINGS) as made:
        spec = SandboxSpec(
            made, SMALL, images.spec.run_id, "attack", images.spec.runtime,
            images.spec.installation,
        )  # fmt: skip
        box = await images.engine.open(spec, await target.tree())
        try:
            found = await images.engine.call(lambda client: client.containers.get(box.id).attrs)
            result = await box.run(
                "id -u; pwd; for d in /data /var/cache; do"
                " mkdir -p $d 2>/dev/null && touch $d/x 2>/dev/null && echo wrote $d; done"
            )
        finally:
            await box.close()
    if found["Mounts"]:
        raise Escaped(f"the image had the host make {found['Mounts']}")
    config = found["Config"]
    check = (config.get("Healthcheck") or {}).get("Test")
    asked = [key for key in ("Volumes", "ExposedPorts", "OnBuild") if config.get(key)]
    if asked or check not in (None, ["NONE"]) or "traefik.enable" in config["Labels"]:
        raise Escaped(f"the container took over {asked or check or 'a label'}")
    if result.text.split() != ["10001", "/workspace"]:
        raise Escaped(f"commands saw {result.text[-200:]!r}")


async def variables_of_an_image(images: ImageTarget, target: Target) -> None:
    """Variables that change what programs do, and a PATH with folders of the repository."""
    name = f"{_NO_REGISTRY}/acme/variables:{secrets.token_hex(6)}"
    evil = ["PATH=/workspace/bin:.:/tmp:/usr/bin", "LD_PRELOAD=/e.so", "BASH_ENV=/workspace/e"]
    async with images.image(name, {"Env": evil}):
        given = await named_image(images.engine, name, (), (name,))
        kept = await image_environment(images.engine, given)
        await images.engine.call(lambda client: client.images.remove(given, force=True))
    path = kept.pop("PATH").split(":")
    if kept or not all(folder.startswith(("/usr/", "/bin", "/sbin")) for folder in path):
        raise Escaped(f"the set-up has {kept} and the PATH {path}")


async def packages_by_a_label(images: ImageTarget, target: Target) -> None:
    """The volume with another repository's packages, by a label of an image."""
    tree = await target.tree()
    victim = f"patchwright-prepared-attack-{secrets.token_hex(6)}"
    told = {PREPARED_LABEL: "victim", INSTALLATION_LABEL: images.spec.installation}
    own = f"{REPOSITORY}:attack-{secrets.token_hex(6)}"
    labels = {PREPARED_LABEL: own.partition(":")[2], VOLUME_LABEL: victim}
    await images.engine.call(lambda client: client.volumes.create(victim, labels=told))
    try:
        for name in (f"{_NO_REGISTRY}/acme/labels:{secrets.token_hex(6)}", own):
            async with images.image(name, {"Labels": labels}) as made:
                for asked in (made, name):
                    await images.must_not_mount(replace(images.spec, image=asked), tree, victim)
    finally:
        await images.engine.call(lambda client: client.volumes.get(victim).remove())


async def image_of_another_tree(images: ImageTarget, target: Target) -> None:
    """What a pushed branch's set-up left, for a tree that differs in no manifest."""
    environment = Environment("settings", steps=(Step("sh dev/prepare", root=True),))
    names = {}
    for who, script in (("evil", b"plant"), ("honest", b"true")):
        tree = tree_hash(await target.tree({"dev/prepare": script, "pyproject.toml": b"[x]\n"}))
        names[who] = recipe_hash(environment, "sha256:base", tree, "o/r")
    labels = {"Labels": {PREPARED_LABEL: names["evil"]}}
    async with images.image(f"{REPOSITORY}:{names['evil']}", labels):
        if not await use_image(images.engine, names["evil"]):
            raise Escaped("the branch's own image was not found, so nothing was tried")
        if given := await use_image(images.engine, names["honest"]):
            raise Escaped(f"the other tree was given {given}")


def image_attacks(engine: DockerEngine, spec: SandboxSpec) -> tuple[Attack, ...]:
    """The attacks, on this engine; `spec` says from which image and for whom."""
    images = ImageTarget(engine, spec)

    def on(
        act: Callable[[ImageTarget, Target], Awaitable[None]],
    ) -> Callable[[Target], Awaitable[None]]:
        return lambda target: act(images, target)

    return (
        Attack("image: another repository's by id and beginnings of it", on(by_id)),
        Attack("image: another repository's by Patchwright's own name", on(by_own_name)),
        Attack("image: one that the engine holds for another repository", on(held_for_another)),
        Attack("image: volumes, health check, entry point, labels", on(settings_of_an_image)),
        Attack("image: LD_PRELOAD, BASH_ENV, a PATH of the repository", on(variables_of_an_image)),
        Attack("image: another repository's packages by a label", on(packages_by_a_label)),
        Attack("image: another branch's set-up", on(image_of_another_tree)),
    )
