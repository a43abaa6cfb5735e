"""The volume of a prepared environment: what its set-up installed, mounted read-only in sandboxes.

To make an image of a container, the engine packs and unpacks every file in it one by one, which
takes longer than an installer took to put them there. So what is installed lies in a volume of the
engine, and the image, which holds the rest, names it.
"""

from __future__ import annotations

from contextlib import suppress

import docker
from docker.errors import ContainerError, ImageNotFound, NotFound
from docker.types import Mount

from sandbox.environment.records import PREFIX
from sandbox.errors import ImageMissing, SandboxError
from sandbox.spec import INSTALLATION_LABEL, PREPARED_LABEL, RUN_LABEL

REPOSITORY = "patchwright/prepared"
VOLUME_LABEL = "patchwright.volume"
VOLUME_BYTES_LABEL = "patchwright.volume-bytes"


def mounted(volume: str, place: str, *, read_only: bool = True, copy: bool = False) -> Mount:
    """A volume at a place; with `copy` an empty one gets what the image has there.

    As a mount and not as a volume of the container's, which an image made of that would declare.
    """
    return Mount(place, volume, read_only=read_only, no_copy=not copy)


def is_in_use(client: docker.DockerClient, name: str) -> bool:
    """Whether a container, running or not, has a volume. Blocks."""
    return bool(client.containers.list(all=True, filters={"volume": name}))


def remove_volume(client: docker.DockerClient, name: str, image: str) -> bool:
    """Remove a volume; False: a container has it. Raises docker-py's errors. Blocks.

    It is emptied first, by a container of `image`: while the engine deletes the files of one
    volume, all calls for others wait, which on a busy disk took over a minute.
    """
    if is_in_use(client, name):
        return False
    volume = client.volumes.get(name)
    labels = volume.attrs.get("Labels") or {}
    with suppress(ImageNotFound, ContainerError):
        client.containers.run(
            image,
            ["-c", f"find {PREFIX} -xdev -mindepth 1 -delete"],
            entrypoint=["bash"],
            user="0:0",
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=["DAC_OVERRIDE", "FOWNER"],
            security_opt=["no-new-privileges"],
            read_only=True,
            labels={RUN_LABEL: "", INSTALLATION_LABEL: labels.get(INSTALLATION_LABEL, "")},
            mounts=[mounted(name, PREFIX, read_only=False)],
            remove=True,
        )
    volume.remove()
    return True


def volume_of(client: docker.DockerClient, image: str) -> str:
    """The volume of an image that `image` names as a prepared one; empty: it has none.

    Nobody but this program gives images such names, so a label that a foreign image brings along
    names no volume. Raises `ImageMissing` when the volume is gone. Blocks.
    """
    repository, _, recipe = image.partition(":")
    if repository != REPOSITORY:
        return ""
    labels = client.images.get(image).labels
    name = str(labels.get(VOLUME_LABEL) or "")
    if not name or labels.get(PREPARED_LABEL) != recipe:
        return ""
    try:
        labels = client.volumes.get(name).attrs.get("Labels") or {}
    except NotFound:
        labels = {}
    # One without a label of ours is empty: the engine makes it when a container asks for a volume
    # that has just been removed.
    if PREPARED_LABEL not in labels:
        raise ImageMissing(
            f"The volume {name} with the packages of {image} is gone. The next set-up of the "
            "environment makes both again."
        )
    if labels[PREPARED_LABEL] != recipe:
        raise SandboxError(f"The volume {name} is not that of {image}")
    return name
