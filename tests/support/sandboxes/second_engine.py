"""An engine of a test's own, which may be stopped, killed and started again.

It shares neither images, nor containers, nor network with the machine's engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker
import pytest

from sandbox.images.base_image import BASE_IMAGE

_STARTS_S = 120.0


class SecondEngine:
    """`dockerd` with its own folders; `url` is where it listens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder}/docker.sock"

    async def start(self) -> None:
        """Start it and wait until it answers; started again when it gives up, as services are."""
        for last in (False, False, True):
            if await self._started():
                return
            assert not last, (self._folder / "log").read_text()[-2000:]

    async def _started(self) -> bool:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    # Without a bridge it would delete the machine's own `docker0`.
                    *("unshare", "--net", "--", "dockerd"),
                    f"--data-root={self._folder}/data",
                    f"--exec-root={self._folder}/exec",
                    f"--pidfile={self._folder}/pid",
                    f"--host={self.url}",
                    "--containerd-namespace=patchwright-test",
                    "--containerd-plugins-namespace=patchwright-test-plugins",
                    "--bridge=none",
                    "--iptables=false",
                    "--ip-forward=false",
                ],
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_STARTS_S):
            while not await asyncio.to_thread(self._answers):
                if self._process.poll() is not None:
                    return False
                await asyncio.sleep(0.2)
        return True

    async def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it: with SIGTERM in order, with SIGKILL as when the machine loses its power."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        if with_signal is signal.SIGKILL:
            self._kill_all()
        await asyncio.to_thread(process.wait, 60)
        (self._folder / "pid").unlink(missing_ok=True)

    def client(self) -> docker.DockerClient:
        """A connected client."""
        return docker.DockerClient(base_url=self.url)

    def _kill_all(self) -> None:
        """Kill containerd, the shims and all that runs in containers of this engine."""
        known = processes()
        mine = {pid for pid, (_, words) in known.items() if str(self._folder) in words}
        while more := {p for p, (parent, _) in known.items() if parent in mine} - mine:
            mine |= more
        for pid in mine:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        try:
            client = self.client()
        except docker.errors.DockerException:
            return False
        client.close()
        return True


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line by process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(") ")[2].split()[1]
            found[int(folder.name)] = int(parent), (folder / "cmdline").read_text(errors="replace")
    return found


@pytest.fixture
async def second_engine() -> AsyncIterator[SecondEngine]:
    """An engine that holds the base image and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("an engine of one's own needs root")
    if shutil.which("dockerd") is None:
        pytest.skip("dockerd is not installed here; the machine's engine is elsewhere")
    async with own_engine() as engine:
        yield engine


@asynccontextmanager
async def own_engine() -> AsyncIterator[SecondEngine]:
    """Start one, with the base image in it; at the end nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="patchwright-engine-"))
    engine = SecondEngine(folder)
    await engine.start()
    try:
        await asyncio.to_thread(_copy_image, engine)
        yield engine
    finally:
        await engine.stop(signal.SIGKILL)
        # What a killed containerd left mounted keeps folders from being removed.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(str(folder))), reverse=True):
            subprocess.run(["umount", "-l", mount], check=True)
        shutil.rmtree(folder)


def _copy_image(engine: SecondEngine) -> None:
    here, there = docker.from_env(), engine.client()
    there.images.load(here.images.get(BASE_IMAGE).save(named=True))
    here.close()
    there.close()
