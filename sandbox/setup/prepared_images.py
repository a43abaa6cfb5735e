"""Prepared images on the engine: finding, listing, and removing the old and the many.

The engine itself keeps when an image was last used: each use tags it again, and the engine notes
the time of the last tag. So workers need no shared list.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import docker
from docker.errors import APIError, ImageNotFound, NotFound

from sandbox.docker.engine import DockerEngine
from sandbox.docker.plain_image import variables
from sandbox.docker.prepared_volume import (
    REPOSITORY,
    VOLUME_BYTES_LABEL,
    VOLUME_LABEL,
    is_in_use,
    remove_volume,
    volume_of,
)
from sandbox.errors import ImageMissing
from sandbox.images.base_image import BASE_IMAGE
from sandbox.spec import INSTALLATION_LABEL, PREPARED_LABEL

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
    volume: str
    """The volume with what was installed."""
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
        try:
            volume_of(client, tag)
        except ImageMissing:  # somebody tidied up the engine
            with suppress(APIError):  # a container has it still
                client.images.remove(tag)
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
    engine: DockerEngine,
    installation: str,
    *,
    most_bytes: int,
    most_days: float,
    now: datetime.datetime | None = None,
) -> list[PreparedImage]:
    """Remove images unused for longer than `most_days`, then the longest unused above the size.

    An image that a container uses stays, and so does its volume. Returns the removed ones. Volumes
    that an interrupted set-up left are removed too, and images that gave their name to another when
    two workers made the same.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    images = await list_images(engine, installation)
    gone = surplus(images, most_bytes=most_bytes, most_days=most_days, now=now)
    removed = await engine.call(lambda client: [image for image in gone if _remove(client, image)])
    await engine.call(lambda client: _remove_nameless(client, installation, now))
    await engine.call(lambda client: _remove_volumes(client, installation, now))
    return removed


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
        size_bytes=int(history[0]["Size"] if history else image.attrs["Size"])
        + int(labels.get(VOLUME_BYTES_LABEL, 0)),
        volume=labels.get(VOLUME_LABEL, ""),
        last_used=_time(used),
    )


_JUST_MADE = datetime.timedelta(minutes=10)
"""A set-up makes its volume before the container that uses it, and its image after."""


def _remove_nameless(
    client: docker.DockerClient, installation: str, now: datetime.datetime
) -> None:
    """Remove an installation's images without a name that no container and no image uses."""
    label = f"{INSTALLATION_LABEL}={installation}"
    for image in client.images.list(filters={"label": [PREPARED_LABEL, label], "dangling": True}):
        is_own = image.labels.get(INSTALLATION_LABEL) == installation
        if is_own and not image.tags and _time(image.attrs["Created"]) < now - _JUST_MADE:
            try:
                client.images.remove(str(image.id))
            except ImageNotFound:
                pass
            except APIError as error:
                if error.status_code != 409:
                    raise


def _remove_volumes(client: docker.DockerClient, installation: str, now: datetime.datetime) -> None:
    """Remove an installation's volumes but those that an image names, and those in use."""
    label = f"{INSTALLATION_LABEL}={installation}"
    for volume in client.volumes.list(filters={"label": [PREPARED_LABEL, label]}):
        made = _time(volume.attrs["CreatedAt"])
        labels = volume.attrs.get("Labels") or {}
        # An engine takes "label=" for any value of the label.
        is_own = labels.get(INSTALLATION_LABEL) == installation
        # The time is only that of the last change of its folder: whose it is is asked last, after
        # its use, as a set-up has made the image by the time that it lets go of the volume.
        if not is_own or made >= now - _JUST_MADE or is_in_use(client, volume.name):
            continue
        if not _is_named(client, volume.name, labels):
            _remove_volume(client, volume.name)


def _time(text: str) -> datetime.datetime:
    """A time as engines write it, with up to nine digits behind the second."""
    return datetime.datetime.fromisoformat(_FRACTION.sub(r".\1", text))


def _is_named(client: docker.DockerClient, volume: str, labels: Mapping[str, str]) -> bool:
    """Whether the image of a volume's recipe is there and has this volume."""
    try:
        image = client.images.get(tag_of(labels.get(PREPARED_LABEL, "")))
    except ImageNotFound:
        return False
    return bool(image.labels.get(VOLUME_LABEL) == volume)


def _remove_volume(client: docker.DockerClient, name: str) -> None:
    """Remove a volume, unless a container has it."""
    try:
        remove_volume(client, name, BASE_IMAGE)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:
            raise


def _remove(client: docker.DockerClient, image: PreparedImage) -> bool:
    try:
        client.images.remove(image.tag)
    except ImageNotFound:
        return False
    except APIError as error:
        if error.status_code == 409:  # a container uses it
            return False
        raise
    if image.volume:
        _remove_volume(client, image.volume)
    return True
