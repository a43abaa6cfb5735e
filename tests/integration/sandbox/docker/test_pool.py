"""Sandboxes that are started before a run asks for them."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.docker.engine import DockerEngine
from sandbox.docker.pool import POOL_RUN, WarmPool
from sandbox.errors import SandboxError
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits
from sandbox.spec import SandboxSpec
from tests.support.sandboxes.fixtures import TREE, tar_of

pytestmark = pytest.mark.docker


@pytest.fixture
async def spec(engine: DockerEngine) -> AsyncIterator[SandboxSpec]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield SandboxSpec(BASE_IMAGE, Limits(), "run-1", "test", installation=name)
    await engine.sweep((), installation=name)


async def test_the_second_sandbox_comes_from_the_pool(
    engine: DockerEngine, spec: SandboxSpec, tmp_path: Path
) -> None:
    tree = tar_of(TREE, tmp_path / "t.tar")
    pool = WarmPool(engine, size=1, images=2)
    first = await pool.open(spec, tree)
    assert pool.given == 0
    await pool.wait_until_filled()
    assert pool.waiting == 1
    second = await pool.open(dataclasses.replace(spec, run_id="run-2"), tree)
    assert pool.given == 1
    assert (await second.run("cat README.md; pwd")).text == "a small tree\n/workspace\n"
    await second.run("echo more >>README.md")
    assert "+more" in await second.diff()
    await pool.wait_until_filled()
    # A sweep knows whose it is now, and keeps what waits in this process.
    swept = await engine.sweep(("run-2", POOL_RUN), installation=spec.installation)
    assert swept == [first.id]
    assert await engine.attach(second.id) is not None
    # At an orderly end, from whatever loop, what waits goes and what was given stays.
    gone = await engine.sweep((), installation=spec.installation, only=POOL_RUN)
    assert len(gone) == 1 and second.id not in gone
    await pool.close()
    assert await engine.sweep((), installation=spec.installation) == [second.id]


async def test_one_that_died_is_passed_over(
    engine: DockerEngine, spec: SandboxSpec, tmp_path: Path
) -> None:
    tree = tar_of(TREE, tmp_path / "t.tar")
    told: list[SandboxError] = []
    pool = WarmPool(engine, size=1, images=1, failed=told.append)
    await pool.open(spec, tree)
    await pool.wait_until_filled()
    await engine.sweep(("run-1",), installation=spec.installation)  # as another process would
    box = await pool.open(spec, tree)
    assert (await box.run("echo well")).text == "well\n"
    assert pool.given == 0 and len(told) == 1
    await pool.close()


async def test_only_the_kinds_used_last_wait(
    engine: DockerEngine, spec: SandboxSpec, tmp_path: Path
) -> None:
    tree = tar_of(TREE, tmp_path / "t.tar")
    pool = WarmPool(engine, size=1, images=1)
    other = dataclasses.replace(spec, limits=Limits(pids=100))
    await pool.open(spec, tree)
    await pool.wait_until_filled()
    await pool.open(other, tree)
    await pool.wait_until_filled()
    assert pool.waiting == 1
    await pool.open(other, tree)
    assert pool.given == 1
    await pool.close()
