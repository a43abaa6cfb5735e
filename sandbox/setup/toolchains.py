"""Which toolchains are in the base images that the engine holds."""

from __future__ import annotations

import asyncio

import docker
from docker.errors import ContainerError, ImageNotFound

from sandbox.docker.engine import DockerEngine
from sandbox.environment.versions.probe import PROBE, read_answer
from sandbox.environment.versions.records import Tool, Version
from sandbox.images.base_image import BASE_IMAGE

_ASK_S = 30.0


async def image_versions(engine: DockerEngine, image: str) -> dict[Tool, Version]:
    """What an image has, by its own word; nothing where it cannot be asked."""

    def ask(client: docker.DockerClient) -> str:
        try:
            answer = client.containers.run(
                image,
                ["-c", PROBE],
                entrypoint=["sh"],
                remove=True,
                network_mode="none",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=64,
                mem_limit=256 * 1024**2,
            )
        except (ContainerError, ImageNotFound):
            return ""
        return answer.decode(errors="replace")

    try:
        return read_answer(await asyncio.wait_for(engine.call(ask), _ASK_S))
    except TimeoutError:
        return {}


async def other_bases(engine: DockerEngine) -> tuple[str, ...]:
    """The base images with other versions of Python that were built (`images build --python`)."""
    prefix = f"{BASE_IMAGE}-python"

    def find(client: docker.DockerClient) -> list[str]:
        name = BASE_IMAGE.partition(":")[0]
        return [tag for image in client.images.list(name=name) for tag in image.tags]

    found = await engine.call(find)
    return tuple(sorted(t for t in found if t.startswith(prefix) and not t.endswith("-candidate")))
