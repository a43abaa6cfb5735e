"""Images that repositories name: asked of their registry for this set-up, and made plain.

That the engine holds an image says nothing about who may use it: another repository's set-up may
have made or fetched it. So the registry is asked each time. What it answers is a digest, and the
set-up starts from what has that digest, whatever a tag means by then. Where no registry answers,
only images that the operator lists can be used.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import docker
import requests
from urllib3.exceptions import HTTPError

from sandbox.docker.engine import DockerEngine
from sandbox.docker.plain_image import OWN_LABELS, checked_variables, description, load
from sandbox.environment.image_reference import (
    ImageReference,
    ImageRefused,
    permitted_reference,
)
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError
from sandbox.spec import PREPARED_LABEL

_PULL_S = 900.0
_LOOK_S = 1.0
_DIGEST = re.compile(r"Digest: (sha256:[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class PullLimit:
    """How much of the engine's disk a pull may take. A small image may unpack to any size."""

    size_bytes: int
    """Others may use the disk meanwhile, so twice of this is what it may have lost."""
    free: Callable[[], Awaitable[int]]
    """Bytes that are left of the disk."""

    def is_exceeded(self, before: int, now: int) -> bool:
        """Whether a pull must end, with so much left before it and now."""
        return before - now > 2 * self.size_bytes or now < self.size_bytes // 10


async def named_image(
    engine: DockerEngine,
    name: str,
    registries: tuple[str, ...],
    listed: tuple[str, ...],
    limit: PullLimit | None = None,
) -> str:
    """The id of an image with the files of the one that a repository names.

    Raises `ImageRefused` when the repository may not have it, other `SandboxError`s when it cannot
    be had.
    """
    reference, is_listed = permitted_reference(name, registries, listed)
    attributes = await _local_image(engine, str(reference)) if is_listed else None
    if attributes is None:
        attributes = await _pull(engine, reference, limit)
    if why := refused_labels((attributes.get("Config") or {}).get("Labels") or {}, is_listed):
        raise ImageRefused(f"The image {reference} {why}")

    def plain(client: docker.DockerClient) -> str:
        checked = checked_variables(attributes.get("Config") or {})
        return load(client, description(attributes, checked))

    return await engine.call(plain)


def refused_labels(labels: Mapping[str, str], is_listed: bool) -> str:
    """Why an image with these labels is not given to a repository; empty: they do not matter.

    The operator may list an image that was made from the base image, but no prepared one: what is
    in that belongs to the repository that it was made for.
    """
    own = [label for label in labels if label.startswith(OWN_LABELS)]
    if PREPARED_LABEL in own:
        return "was prepared for a repository, and no repository may name it."
    if own and not is_listed:
        return (
            f"carries a label of Patchwright's own ({own[0]}). If repositories may use it, the "
            "operator lists it in PATCHWRIGHT_SETUP_IMAGES."
        )
    return ""


def pulled_digest(lines: Iterable[Mapping[str, Any]]) -> str:
    """The digest that a pull ended at; empty when the engine did not say it.

    Raises `SandboxError` for a pull that failed.
    """
    digest = ""
    for line in lines:
        if error := line.get("error"):
            raise SandboxError(str(error))
        if found := _DIGEST.match(str(line.get("status", ""))):
            digest = found[1]
    return digest


async def _local_image(engine: DockerEngine, name: str) -> Mapping[str, Any] | None:
    try:
        return await engine.call(lambda client: client.images.get(name).attrs)
    except ImageMissing:
        return None


async def _pull(
    engine: DockerEngine, reference: ImageReference, limit: PullLimit | None
) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(_PULL_S):
            digest = await _pulled(engine, reference, limit)
    except TimeoutError:
        raise SandboxError(f"The image {reference} was not pulled within 15 minutes.") from None
    except (EngineUnavailable, ImageRefused):
        raise
    except SandboxError as error:
        raise SandboxError(
            f"The image {reference} cannot be pulled from its registry ({error}). An image that "
            "the engine holds is used without asking only if the operator lists it in "
            "PATCHWRIGHT_SETUP_IMAGES."
        ) from None
    digest = reference.digest or digest
    held = await _local_image(engine, f"{reference.name}@{digest}") if digest else None
    if held is None:
        raise SandboxError(f"The engine did not say which image it pulled for {reference}.")
    return held


async def _pulled(engine: DockerEngine, reference: ImageReference, limit: PullLimit | None) -> str:
    """The digest that a pull ended at. The engine ends the pull when its connection does."""
    client = await engine.call(lambda _: engine.new_client())
    answers: list[requests.Response] = []
    client.hooks["response"].append(lambda answer, **_: answers.append(answer))

    def pull(_: docker.DockerClient) -> str:
        try:
            return pulled_digest(client.pull(str(reference), stream=True, decode=True))
        except HTTPError as error:
            raise SandboxError(f"the engine ended the connection: {error}") from None

    name = str(reference)
    before = await limit.free() if limit else 0
    work = asyncio.create_task(engine.call(pull))
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_LOOK_S)
            if limit and limit.is_exceeded(before, await limit.free()):
                with contextlib.suppress(SandboxError):  # it is there only if all of it came
                    await engine.call(lambda client: client.images.remove(name, force=True))
                raise ImageRefused(
                    f"The image {reference} takes more than {limit.size_bytes / 1e9:.1f} GB of the "
                    "engine's disk, or fills it. The operator's PATCHWRIGHT_SETUP_DISK_MB is how "
                    "much a set-up may take."
                )
        return await work
    finally:
        if not work.done():
            for answer in answers:
                with contextlib.suppress(ValueError, RuntimeError):  # it ends just now
                    answer.raw.shutdown()
        await asyncio.shield(asyncio.gather(work, return_exceptions=True))
        await asyncio.to_thread(client.close)
