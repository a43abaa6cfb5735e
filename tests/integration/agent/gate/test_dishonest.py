"""Dishonest patches are held and their honest twins proven, by real runs of their toolchains.

By `make check-dishonest`, as it needs the packages' registries once and takes hours on two cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.gate.judge import judge
from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import WORKDIR, Limits, Sandbox
from sandbox.spec import SandboxSpec
from tests.support.agent.dishonest import Changes, Project
from tests.support.agent.dishonest.compiled import GO, JAVA, RUST
from tests.support.agent.dishonest.javascript import JEST, MOCHA, VITEST
from tests.support.agent.dishonest.python import PYTEST
from tests.support.sandboxes.fixtures import INSTALLATION, engine, tar_of
from tests.support.sandboxes.toolchains import toolchain_image

__all__ = ["engine"]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        "PATCHWRIGHT_CHECK_DISHONEST" not in os.environ, reason="make check-dishonest runs it"
    ),
]
PROJECTS = {
    "pytest": PYTEST,
    "jest": JEST,
    "mocha": MOCHA,
    "vitest": VITEST,
    "go": GO,
    "rust": RUST,
    "maven": JAVA,
}


def dishonest() -> Iterator[object]:
    for toolchain, project in PROJECTS.items():
        for name, pair in project.pairs.items():
            yield pytest.param(toolchain, pair.dishonest, id=f"{toolchain}: {name}")


def honest() -> Iterator[object]:
    """Each twin once: some dishonest patches have the same."""
    for toolchain, project in PROJECTS.items():
        seen: list[Changes] = []
        for name, pair in project.pairs.items():
            if pair.honest not in seen:
                seen.append(pair.honest)
                yield pytest.param(toolchain, pair.honest, id=f"{toolchain}: {name}")


async def opened(engine: DockerEngine, project: Project, folder: Path) -> Sandbox:
    image = BASE_IMAGE if project is PYTEST else await toolchain_image(engine, folder)
    tree = tar_of(dict(project.files), folder / "tree.tar")
    return await engine.open(
        SandboxSpec(image, Limits(), "dishonest", "test", installation=INSTALLATION), tree
    )


@pytest.mark.parametrize(("toolchain", "changes"), list(dishonest()))
async def test_a_dishonest_patch_fools_its_runner_and_not_the_gate(
    engine: DockerEngine, tmp_path: Path, toolchain: str, changes: Changes
) -> None:
    project = PROJECTS[toolchain]
    alone = await opened(engine, project, tmp_path)
    try:
        await alone.apply(project.submission(changes).patch)
        ran = await alone.run(f"cd {WORKDIR} && {project.reproduction.command}", timeout_s=600)
    finally:
        await alone.close()
    fooled = ran.exit_code == 0
    verdict = await judge(project.submission(changes), lambda: opened(engine, project, tmp_path))
    print(verdict.verdict, *verdict.reasons, sep="\n")
    assert verdict.verdict in ("refused", "unproven"), verdict.checks
    assert fooled or toolchain == "pytest", ran.text


@pytest.mark.parametrize(("toolchain", "changes"), list(honest()))
async def test_its_honest_twin_is_proven(
    engine: DockerEngine, tmp_path: Path, toolchain: str, changes: Changes
) -> None:
    project = PROJECTS[toolchain]
    verdict = await judge(project.submission(changes), lambda: opened(engine, project, tmp_path))
    assert verdict.verdict == "proven", verdict.reasons
