"""Prepared images on the engine: finding, listing, and removing the old and the many.

The engine itself keeps when an image was last used: each use tags it again, and the engine notes
the time of the last tag. So workers need no shared list.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import docker
from docker.errors import APIError, ImageNotFound

from sandbox.docker.engine import DockerEngine
from sandbox.docker.plain_image import variables
from sandbox.spec import INSTALLATION_LABEL

REPOSITORY = "patchwright/prepared"
PREPARED_LABEL = "patchwright.prepared"
SCOPE_LABEL = "patchwright.scope"
SOURCE_LABEL = "patchwright.source"
_FRACTION = re.compile(r"\.(\d{1,6})\d*")


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """One prepared image."""

    tag: str
    id: str
    scope: str
    """The repository that it is for."""
    source: str
    """Where its recipe was read."""
    size_bytes: int
    """What it takes besides the image that it was made from."""
    last_used: datetime.datetime


def tag_of(recipe: str) -> str:
    """The image's name, from its recipe's hash."""
    return f"{REPOSITORY}:{recipe}"


async def use_image(engine: DockerEngine, recipe: str) -> str:
    """The tag of a recipe's image, noting the use; empty when there is none."""

    def find(client: docker.DockerClient) -> str:
        tag = tag_of(recipe)
        try:
            image = client.images.get(tag)
        except ImageNotFound:
            return ""
        # The label is only ours to set; a tag could be anybody's.
        if image.labels.get(PREPARED_LABEL) != recipe:
            return ""
        image.tag(REPOSITORY, recipe)
        return tag

    return await engine.call(find)


async def list_images(engine: DockerEngine, installation: str) -> list[PreparedImage]:
    """This installation's prepared images, the last used first."""

    def read(client: docker.DockerClient) -> list[PreparedImage]:
        label = f"{INSTALLATION_LABEL}={installation}"
        found = client.images.list(filters={"label": [PREPARED_LABEL, label]})
        return [_read(client, image) for image in found if _is_whole(image)]

    images = await engine.call(read)
    return sorted(images, key=lambda image: image.last_used, reverse=True)


async def prune(
    engine: DockerEngine, installation: str, *, most_bytes: int, most_days: float
) -> list[PreparedImage]:
    """Remove images unused for longer than `most_days`, then the longest unused above the size.

    An image that a container uses stays. Returns the removed ones.
    """
    now = datetime.datetime.now(datetime.UTC)
    images = await list_images(engine, installation)
    gone = surplus(images, most_bytes=most_bytes, most_days=most_days, now=now)
    return await engine.call(lambda client: [image for image in gone if _remove(client, image)])


def surplus(
    images: Sequence[PreparedImage],
    *,
    most_bytes: int,
    most_days: float,
    now: datetime.datetime,
) -> list[PreparedImage]:
    """Which images have to go."""
    oldest = now - datetime.timedelta(days=most_days)
    kept, gone = 0, []
    for image in sorted(images, key=lambda image: image.last_used, reverse=True):
        if image.last_used < oldest or kept + image.size_bytes > most_bytes:
            gone.append(image)
        else:
            kept += image.size_bytes
    return gone


async def image_id(engine: DockerEngine, tag: str) -> str:
    """An image's own hash; empty when the engine does not hold it."""

    def read(client: docker.DockerClient) -> str:
        try:
            return str(client.images.get(tag).id)
        except ImageNotFound:
            return ""

    return await engine.call(read)


async def image_environment(engine: DockerEngine, tag: str) -> dict[str, str]:
    """The environment variables that an image sets."""
    attributes = await engine.call(lambda client: client.images.get(tag).attrs)
    return variables(attributes["Config"])


def _is_whole(image: Any) -> bool:
    return any(tag.startswith(f"{REPOSITORY}:") for tag in image.tags)


def _read(client: docker.DockerClient, image: Any) -> PreparedImage:
    labels = image.labels
    history = cast(list[dict[str, Any]], client.api.history(image.id))  # type: ignore[no-untyped-call]
    used = str(image.attrs.get("Metadata", {}).get("LastTagTime") or "")
    if not used or used.startswith("0001"):
        used = str(image.attrs["Created"])
    return PreparedImage(
        tag=tag_of(labels[PREPARED_LABEL]),
        id=str(image.id),
        scope=labels.get(SCOPE_LABEL, ""),
        source=labels.get(SOURCE_LABEL, ""),
        size_bytes=int(history[0]["Size"]) if history else int(image.attrs["Size"]),
        last_used=datetime.datetime.fromisoformat(_FRACTION.sub(r".\1", used)),
    )


def _remove(client: docker.DockerClient, image: PreparedImage) -> bool:
    try:
        client.images.remove(image.tag)
    except ImageNotFound:
        return False
    except APIError as error:
        if error.status_code == 409:  # a container uses it
            return False
        raise
    return True
