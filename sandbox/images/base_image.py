"""The sandbox's base image: built from a registry or from packages, checked, built once."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import docker
from docker.errors import APIError, BuildError, ContainerError, DockerException, ImageNotFound

from sandbox.docker.engine import DockerEngine
from sandbox.errors import EngineUnavailable, SandboxError
from sandbox.images.debootstrap import Progress, root_archive
from sandbox.images.recipe import RECIPE_LABEL, Recipe, read_recipe

BASE_IMAGE = "patchwright/sandbox-base:1"
"""The image that sandboxes start from when a repository names none."""

REGISTRY_WAIT_S = 8.0
"""How long a registry may take to say that it has the Dockerfile's base."""

_CHECK = (
    "set -e; python --version; python3 -m pytest --version; pytest --version; rg --version; "
    "git --version; coverage --version; tar --version; cc --version; ps --version; "
    '[ "$(id -u)" = 10001 ]'
)
_BASE = re.compile(r"^ARG BASE=(\S+)", re.MULTILINE)


async def build(engine: DockerEngine, *, offline: bool | None, progress: Progress) -> str:
    """Make `BASE_IMAGE` unless it is there already, from the same recipe; returns the tag.

    `offline` False: from a registry by the Dockerfile; True: from the distribution's packages
    (needs root and debootstrap); None: from a registry if one answers within a few seconds, else
    from packages. Raises `EngineUnavailable`, or `SandboxError` with what to do.
    """
    await engine.check()
    recipe = await asyncio.to_thread(read_recipe)
    client = await engine.client()
    if await asyncio.to_thread(_recipe_of, client, BASE_IMAGE) == recipe.hash:
        progress(f"{BASE_IMAGE} is up to date.")
        return BASE_IMAGE
    if offline is None:
        offline = not await _registry_answers(client, recipe)
        if offline:
            progress("No image registry answers: building from the distribution's packages.")
    candidate = f"{BASE_IMAGE}-candidate"
    try:
        if offline:
            async with root_archive(recipe, progress) as archive:
                await asyncio.to_thread(_import, client, recipe, archive, candidate)
        else:
            progress("Building the image from its Dockerfile …")
            await asyncio.to_thread(_build, client, recipe, candidate)
        progress("Checking the image …")
        await asyncio.to_thread(_check, client, candidate)
        await asyncio.to_thread(_promote, client, candidate)
    except (DockerException, OSError) as error:
        raise SandboxError(f"The base image could not be built: {error}") from None
    progress(f"{BASE_IMAGE} is ready.")
    return BASE_IMAGE


async def is_current(engine: DockerEngine) -> bool:
    """Whether the base image is there and was made from this version's recipe."""
    recipe = await asyncio.to_thread(read_recipe)
    client = await engine.client()
    return await asyncio.to_thread(_recipe_of, client, BASE_IMAGE) == recipe.hash


def _recipe_of(client: docker.DockerClient, tag: str) -> str:
    try:
        return str(client.images.get(tag).labels.get(RECIPE_LABEL, ""))
    except ImageNotFound:
        return ""
    except DockerException as error:
        raise EngineUnavailable(f"The container engine does not respond: {error}") from None


async def _registry_answers(client: docker.DockerClient, recipe: Recipe) -> bool:
    """Whether the Dockerfile's base is there, or a registry says that it has it, soon enough.

    The engine asks the registry itself, so its mirrors and proxies count. The question cannot be
    taken back, so it waits in a daemon thread that nobody has to join.
    """
    base = _base_of(recipe)
    if await asyncio.to_thread(_has_image, client, base):
        return True
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bool] = loop.create_future()

    def tell(yes: bool) -> None:
        if not answered.done():
            answered.set_result(yes)

    def ask() -> None:
        try:
            client.images.get_registry_data(base)
            yes = True
        except (DockerException, OSError):
            yes = False
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, yes)

    threading.Thread(target=ask, name="registry-question", daemon=True).start()
    try:
        return await asyncio.wait_for(answered, REGISTRY_WAIT_S)
    except TimeoutError:
        return False


def _base_of(recipe: Recipe) -> str:
    found = _BASE.search((recipe.folder / "Dockerfile").read_text())
    if found is None:
        raise SandboxError(f"{recipe.folder / 'Dockerfile'} names no base in `ARG BASE=`")
    return found[1]


def _has_image(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _build(client: docker.DockerClient, recipe: Recipe, tag: str) -> None:
    try:
        client.images.build(
            path=str(recipe.folder), tag=tag, buildargs={"RECIPE": recipe.hash}, rm=True
        )
    except BuildError as error:
        raise SandboxError(f"The Dockerfile does not build: {error.msg}") from None
    except APIError as error:
        raise SandboxError(
            f"The Dockerfile does not build: {error.explanation}. If no registry is reachable, use "
            "`patchwright images build --offline`."
        ) from None


def _import(client: docker.DockerClient, recipe: Recipe, archive: Path, tag: str) -> None:
    name, _, version = tag.rpartition(":")
    # The same settings as the Dockerfile's last lines.
    changes = [
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "ENV LANG=C.UTF-8",
        "USER 10001:10001",
        "WORKDIR /workspace",
        'CMD ["sleep", "infinity"]',
        f"LABEL {RECIPE_LABEL}={recipe.hash}",
    ]
    client.api.import_image(src=str(archive), repository=name, tag=version, changes=changes)


def _check(client: docker.DockerClient, tag: str) -> None:
    """Run the new image and look that everything that a sandbox needs is in it."""
    try:
        client.containers.run(tag, ["bash", "-c", _CHECK], remove=True, network_mode="none")
    except ContainerError as error:
        raw = error.stderr or b""
        message = (raw if isinstance(raw, str) else raw.decode(errors="replace")).strip()
        raise SandboxError(
            f"The new image lacks something that a sandbox needs: {message}"
        ) from None


def _promote(client: docker.DockerClient, candidate: str) -> None:
    """Give the checked image its name; sandboxes that run keep the old one."""
    name, _, version = BASE_IMAGE.rpartition(":")
    client.images.get(candidate).tag(name, version)
    client.images.remove(candidate)
