"""Images that repositories name, with the real engine and a registry on this machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import docker
import pytest

from sandbox.docker.engine import DockerEngine
from sandbox.environment.image_reference import ImageRefused
from sandbox.errors import SandboxError
from sandbox.setup.named_images import PullLimit, named_image, pulled_digest, refused_labels
from tests.doubles.registry import serving_registry
from tests.support.sandboxes.fixtures import engine

__all__ = ["engine"]

EVERYTHING = {
    "Env": ["PATH=/tool/bin:/tmp", "LD_PRELOAD=/evil.so"],
    "Volumes": {"/data": {}},
    "Healthcheck": {"Test": ["CMD-SHELL", "id"]},
    "Entrypoint": ["/evil"],
    "OnBuild": ["RUN id"],
    "StopSignal": "SIGKILL",
    "User": "0",
    "WorkingDir": "/evil",
    "ExposedPorts": {"80/tcp": {}},
    "Labels": {"traefik.enable": "true"},
}


@pytest.fixture
def remove() -> Iterator[list[str]]:
    names: list[str] = []
    yield names
    client = docker.from_env()
    for name in names:
        client.images.remove(name, force=True)
    client.close()


@pytest.mark.docker
async def test_a_registry_is_asked_each_time_and_gives_files_and_a_path_alone(
    engine: DockerEngine, remove: list[str]
) -> None:
    with serving_registry() as registry:
        name = f"{registry.host}/acme/{uuid.uuid4().hex[:8]}"
        path = name.partition("/")[2]
        registry.put(path, "1", {"tool/bin/x": name}, EVERYTHING)
        first = await named_image(engine, f"{name}:1", (registry.host,), ())
        remove += [f"{name}:1", first]
        config = (await engine.call(lambda client: client.images.get(first).attrs))["Config"]
        set_to = {key: value for key, value in config.items() if value}
        assert set_to.pop("Env")[0].startswith("PATH=/tool/bin:/usr/local/sbin:")
        assert set_to == {}
        before = len(registry.asked)
        assert await named_image(engine, f"{name}:1", (registry.host,), ()) == first
        assert len(registry.asked) > before
        registry.put(path, "labelled", {"x": name}, {"Labels": {"patchwright.run": "r"}})
        with pytest.raises(SandboxError, match=r"patchwright\.run"):
            await named_image(engine, f"{name}:labelled", (registry.host,), ())
        remove.append(f"{name}:labelled")
        del registry.manifests[f"{path}/1"]
        with pytest.raises(SandboxError, match="cannot be pulled from its registry"):
            await named_image(engine, f"{name}:1", (registry.host,), ())
    with pytest.raises(SandboxError, match="cannot be pulled from its registry"):
        await named_image(engine, f"{name}:1", (registry.host,), ())
    assert await named_image(engine, f"{name}:1", (), (f"{name}:1",)) == first


@pytest.mark.docker
async def test_a_pull_that_takes_too_much_of_the_disk_ends(engine: DockerEngine) -> None:
    left = iter([10**12])

    async def free() -> int:
        return next(left, 10**12 - 3 * 10**9)

    with serving_registry() as registry:
        name = f"{registry.host}/acme/{uuid.uuid4().hex[:8]}"
        registry.put(name.partition("/")[2], "1", {"x": name}, {})
        with pytest.raises(ImageRefused, match=r"more than 1\.0 GB"):
            await named_image(engine, f"{name}:1", (registry.host,), (), PullLimit(10**9, free))
    assert not await engine.has_image(f"{name}:1")


async def test_what_a_pull_may_take() -> None:
    async def free() -> int:
        return 0

    limit = PullLimit(1000, free)
    assert not limit.is_exceeded(10_000, 8_000)
    assert limit.is_exceeded(10_000, 7_999)
    assert limit.is_exceeded(120, 99)


def test_prepared_images_are_given_to_nobody_by_name() -> None:
    base, prepared = {"patchwright.recipe": "1"}, {"patchwright.prepared": "1"}
    assert refused_labels({"maintainer": "x"}, False) == ""
    assert "operator lists it" in refused_labels(base, False)
    assert refused_labels(base, True) == ""
    assert "was prepared for a repository" in refused_labels({**base, **prepared}, True)


def test_a_pull_tells_its_digest_or_its_fault() -> None:
    digest = f"sha256:{'1' * 64}"
    assert pulled_digest([{"status": "x"}, {"status": f"Digest: {digest}"}, {}]) == digest
    assert pulled_digest([{"status": f"Digest: {digest} and more"}]) == ""
    with pytest.raises(SandboxError, match="denied"):
        pulled_digest([{"status": f"Digest: {digest}"}, {"error": "denied"}])
