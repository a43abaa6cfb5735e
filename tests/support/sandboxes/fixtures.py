"""Sandboxes for tests: every implementation behind the same openers."""

from __future__ import annotations

import io
import os
import tarfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.kubernetes.access import Access, cluster_access
from sandbox.kubernetes.engine import KubernetesEngine
from sandbox.protocol import Limits, Sandbox
from sandbox.shell.sandbox import ShellSandbox
from sandbox.spec import SandboxSpec
from tests.doubles.kubernetes.server import Cluster, serving_cluster

TREE: dict[str, str | bytes] = {
    "README.md": "a small tree\n",
    "src/calc.py": "def add(a, b):\n    return a - b\n",
    "src/data.bin": bytes(range(256)) * 4,
    "run.sh": "#!/bin/sh\necho ran\n",
    ".gitignore": "*.log\nbuild/\n",
    "kept.log": "ignored by name, but part of the base tree\n",
    "LICENSE": "words\n" * 50,
}

INSTALLATION = f"tests-{os.getpid()}"
"""Tests in several processes share one engine; none sweeps another's sandboxes."""

Opener = Callable[..., Awaitable[Sandbox]]
DockerOpener = Callable[..., Awaitable[ShellSandbox]]


def tar_of(files: Mapping[str, str | bytes], path: Path) -> Path:
    """A tar like the one that comes from a mirror: files with modes, links as `-> target`."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str) and content.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content[3:]
                archive.addfile(info)
                continue
            data = content.encode() if isinstance(content, str) else content
            info.size, info.mode = len(data), 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
async def engine() -> AsyncIterator[DockerEngine]:
    """The machine's engine."""
    engine = DockerEngine()
    await engine.check()
    yield engine
    await engine.close()


@pytest.fixture
async def open_docker(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[DockerOpener]:
    """Opens Docker sandboxes and closes them after the test."""
    opened: list[ShellSandbox] = []

    async def open_one(
        files: Mapping[str, str | bytes] = TREE, *, limits: Limits | None = None, run_id: str = ""
    ) -> ShellSandbox:
        tree = tar_of(files, tmp_path / f"{uuid.uuid4().hex}.tar")
        spec = SandboxSpec(
            image=BASE_IMAGE,
            limits=limits or Limits(),
            run_id=run_id or f"test-{uuid.uuid4().hex[:8]}",
            purpose="test",
            installation=INSTALLATION,
        )
        sandbox = await engine.open(spec, tree)
        opened.append(sandbox)
        return sandbox

    yield open_one
    for sandbox in opened:
        await sandbox.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A stand-in for a Kubernetes cluster, whose pods are containers of the machine's engine."""
    with serving_cluster() as cluster:
        yield cluster


def access_to(cluster: Cluster, folder: Path) -> Access:
    """What a kubeconfig in the folder says."""
    path = folder / "kubeconfig"
    path.write_text(cluster.kubeconfig)
    return cluster_access(path)


@pytest.fixture
async def kubernetes(cluster: Cluster, tmp_path: Path) -> AsyncIterator[KubernetesEngine]:
    """The cluster as a place of sandboxes."""
    engine = KubernetesEngine(access_to(cluster, tmp_path))
    yield engine
    await engine.close()


@pytest.fixture
async def open_kubernetes(
    kubernetes: KubernetesEngine, tmp_path: Path
) -> AsyncIterator[DockerOpener]:
    """Opens pods and removes them after the test."""
    opened: list[ShellSandbox] = []

    async def open_one(
        files: Mapping[str, str | bytes] = TREE, *, limits: Limits | None = None, run_id: str = ""
    ) -> ShellSandbox:
        tree = tar_of(files, tmp_path / f"{uuid.uuid4().hex}.tar")
        run_id = run_id or f"test-{uuid.uuid4().hex[:8]}"
        spec = SandboxSpec(
            BASE_IMAGE, limits or Limits(), run_id, "test", installation=INSTALLATION
        )
        sandbox = await kubernetes.open(spec, tree)
        opened.append(sandbox)
        return sandbox

    yield open_one
    for sandbox in opened:
        await sandbox.close()


@pytest.fixture(params=["docker", "kubernetes"])
def open_sandbox(request: pytest.FixtureRequest) -> Opener:
    """An opener for each implementation: the conformance suite runs against all of them."""
    opener: Opener = request.getfixturevalue(f"open_{request.param}")
    return opener
