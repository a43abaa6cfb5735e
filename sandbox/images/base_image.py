"""The sandbox's base image: built from a registry or from packages, checked, built once."""

from __future__ import annotations

import asyncio
import re
import threading
import time
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
"""How long a registry may take to say that it has an image."""
SILENT_S = 600.0
"""How long a registry that did not say so is left alone."""
_silent_since: dict[str, float] = {}

_CHECK = (
    "set -e; python --version; python3 -m pytest --version; pytest --version; rg --version; "
    "git --version; coverage --version; tar --version; cc --version; ps --version; "
    '[ "$(id -u)" = 10001 ]'
)
_BASE = re.compile(r"^ARG BASE=(\S+)", re.MULTILINE)


DEBIAN_PYTHONS = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}
"""The Debian releases with these versions of Python (packages.debian.org/python3)."""


def base_image_with(python: str) -> str:
    """The name of the base image with this version of Python, such as "3.13"; empty: the usual."""
    return f"{BASE_IMAGE}-python{python}" if python else BASE_IMAGE


async def build(
    engine: DockerEngine, *, offline: bool | None, progress: Progress, python: str = ""
) -> str:
    """Make a base image unless it is there already, from the same recipe; returns the tag.

    `offline` False: from a registry by the Dockerfile; True: from the distribution's packages
    (needs root and debootstrap); None: from a registry if one answers within a few seconds, else
    from packages. `python`: another version than the usual one ("3.13"), for repositories that need
    it; from packages only those of `DEBIAN_PYTHONS`. Raises `EngineUnavailable`, or `SandboxError`
    with what to do.
    """
    await engine.check()
    recipe = await asyncio.to_thread(read_recipe)
    client = await engine.client()
    tag = base_image_with(python)
    if await asyncio.to_thread(_recipe_of, client, tag) == recipe.hash:
        progress(f"{tag} is up to date.")
        return tag
    base = f"python:{python}-slim" if python else _base_of(recipe)
    if offline is None:
        offline = not await registry_answers(engine, base)
        if offline:
            progress("No image registry answers: building from the distribution's packages.")
    if offline and python and python not in DEBIAN_PYTHONS:
        raise SandboxError(
            f"No Debian release has Python {python}; without a registry there is only "
            f"{', '.join(DEBIAN_PYTHONS)}."
        )
    candidate = f"{tag}-candidate"
    try:
        if offline:
            release = DEBIAN_PYTHONS.get(python, "")
            async with root_archive(recipe, progress, release) as archive:
                await asyncio.to_thread(_import, client, recipe, archive, candidate)
        else:
            progress("Building the image from its Dockerfile …")
            await asyncio.to_thread(_build, client, recipe, candidate, base)
        progress("Checking the image …")
        await asyncio.to_thread(_check, client, candidate)
        await asyncio.to_thread(_promote, client, candidate, tag)
    except (DockerException, OSError) as error:
        raise SandboxError(f"The base image could not be built: {error}") from None
    progress(f"{tag} is ready.")
    return tag


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


async def registry_answers(engine: DockerEngine, image: str) -> bool:
    """Whether the engine holds an image, or a registry says soon enough that it has it.

    The engine asks the registry itself, so its mirrors and proxies count. The question cannot be
    taken back, so it waits in a daemon thread that nobody has to join. A registry that did not
    answer is not asked again for a while.
    """
    client = await engine.client()
    if await asyncio.to_thread(_has_image, client, image):
        return True
    if time.monotonic() - _silent_since.get(image, -SILENT_S) < SILENT_S:
        return False
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bool] = loop.create_future()

    def tell(yes: bool) -> None:
        if not answered.done():
            answered.set_result(yes)

    def ask() -> None:
        try:
            client.images.get_registry_data(image)
            yes = True
        except (DockerException, OSError):
            yes = False
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, yes)

    threading.Thread(target=ask, name="registry-question", daemon=True).start()
    try:
        answer = await asyncio.wait_for(answered, REGISTRY_WAIT_S)
    except TimeoutError:
        answer = False
    if not answer:
        _silent_since[image] = time.monotonic()
    return answer


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


def _build(client: docker.DockerClient, recipe: Recipe, tag: str, base: str) -> None:
    arguments = {"RECIPE": recipe.hash, "BASE": base}
    try:
        client.images.build(path=str(recipe.folder), tag=tag, buildargs=arguments, rm=True)
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


def _promote(client: docker.DockerClient, candidate: str, tag: str) -> None:
    """Give the checked image its name; sandboxes that run keep the old one."""
    name, _, version = tag.rpartition(":")
    client.images.get(candidate).tag(name, version)
    client.images.remove(candidate)
