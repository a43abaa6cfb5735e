"""The base image as it stands on this machine's engine."""

from __future__ import annotations

import pytest

from sandbox.docker.engine import DockerEngine
from sandbox.images import base_image
from tests.support.sandboxes.fixtures import DockerOpener

pytestmark = pytest.mark.docker


async def test_an_image_of_the_same_recipe_is_not_built_again(engine: DockerEngine) -> None:
    if not await base_image.is_current(engine):
        pytest.skip("the base image is of another recipe; `patchwright images build` renews it")
    said: list[str] = []
    assert (
        await base_image.build(engine, offline=True, progress=said.append) == base_image.BASE_IMAGE
    )
    assert len(said) == 1
    assert "up to date" in said[0]


@pytest.mark.parametrize(
    "command",
    ["python --version", "python3 -m pytest --version", "pytest --version", "rg --version",
     "git --version", "coverage --version", "cc --version", "make --version", "ps --version"],
)  # fmt: skip
async def test_the_image_has_what_agents_use(open_docker: DockerOpener, command: str) -> None:
    box = await open_docker({"test_a.py": "def test_a():\n    assert 1\n"})
    result = await box.run(command)
    assert result.ok, result.text
