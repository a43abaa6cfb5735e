"""An image with the toolchains that dishonest patches are tried with, made once per machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sandboxes.environment import EnvironmentRequest, setup_policy
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.environment.records import Environment, Step, apt
from sandbox.images.base_image import BASE_IMAGE
from sandbox.setup.container import SetupSpec
from sandbox.setup.docker_images import prepare_on_engine
from sandbox.setup.records import SetupFailed
from tests.support.sandboxes.fixtures import INSTALLATION, tar_of

_PACKAGES = (
    *("golang-go", "cargo", "rustc", "nodejs", "npm", "default-jdk-headless", "maven"),
    *("maven-debian-helper", "junit5", "libsurefire-java"),
    *("libmaven-resources-plugin-java", "libmaven-compiler-plugin-java"),
)
"""Maven's plugins and JUnit are the distribution's: Maven needs no repository of its own then."""
_RUNNERS = (
    "mkdir -p /opt/patchwright/js && cd /opt/patchwright/js && npm install --no-audit --no-fund "
    "--loglevel=error --cache /tmp/npm jest@29 vitest@1 mocha@10 chai@4 && "
    "ln -s /opt/patchwright/js/node_modules /node_modules"
)
TOOLCHAINS = Environment(
    "toolchains of tests",
    steps=(apt(_PACKAGES), Step(_RUNNERS, root=True, shared=True)),
    variables=(("GOTOOLCHAIN", "local"),),
)


async def toolchain_image(engine: DockerEngine, folder: Path) -> str:
    """The image's tag; ten minutes and 900 MB the first time. Skips without the registries."""
    settings = Settings(state_dir=folder / "state")
    tree = tar_of({"README.md": "no tree is needed\n"}, folder / "none.tar")
    spec = SetupSpec(
        image=BASE_IMAGE,
        limits=settings.limits,
        run_id="toolchains",
        installation=INSTALLATION,
        owner="toolchains-of-tests",
    )
    policy = setup_policy(settings, EnvironmentRequest("tests/toolchains"))
    try:
        made = await prepare_on_engine(
            engine, tree, "none", [TOOLCHAINS], spec, policy, scope="tests"
        )
    except SetupFailed as error:
        if error.is_network_fault:
            pytest.skip("The packages' registries (Debian, npm) cannot be reached.")
        raise
    return made.image
