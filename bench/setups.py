"""What set-ups cost beside the installer alone, and what the second run of the same manifests does.

    python bench/setups.py FOLDER [--only NAME …]

For every clone in a folder the detected environment is made three ways on the same engine: as in a
run; by hand, which is the same commands with `uv` in pip's place, timed in a container of the same
kind by its own clock; and again, from reading the manifests to an open sandbox. Toolchains, which
are shared by all repositories, are there before. No suite is run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.git.local import mirror_local
from app.sandboxes.base import present_image
from app.sandboxes.environment import EnvironmentRequest, setup_policy
from app.settings.loading import load
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.environment.choose import EnvironmentSettings, candidates, read_for_choice
from sandbox.environment.own_process import in_own_process
from sandbox.environment.python import VENV
from sandbox.environment.records import Environment, Step
from sandbox.environment.tree import tree_hash
from sandbox.images.base_image import BASE_IMAGE
from sandbox.setup.container import SetupSpec
from sandbox.setup.docker_images import prepare_on_engine
from sandbox.setup.prepared_images import REPOSITORY, SCOPE_LABEL
from sandbox.setup.records import PreparedEnvironment, SetupFailed
from sandbox.spec import SandboxSpec

INSTALLATION = f"bench-{uuid.uuid4().hex[:8]}"
MOST_RATIO = 1.5
MOST_AGAIN_S = 1.0
_PIP = "pip install --disable-pip-version-check -q"
_SECONDS = "/opt/patchwright/seconds"


def by_hand(environment: Environment) -> Environment:
    """The environment's own commands as a person would give them, with the seconds they take."""
    own = [step for step in environment.steps if not step.shared]
    lines = [f"(cd {step.folder} && {step.command})" for step in own]
    fast = f"/tmp/uv/bin/uv pip install --python {VENV}/bin/python3 -q"
    commands = " && ".join(lines).replace(_PIP, fast)
    uv = "python3 -m venv /tmp/uv && /tmp/uv/bin/pip install -q uv && " if _PIP in str(own) else ""
    timed = f"{uv}begun=$(date +%s%N) && {commands} && "
    timed += f"echo $((($(date +%s%N) - begun) / 1000000)) >{_SECONDS}"
    shared = tuple(step for step in environment.steps if step.shared)
    return replace(environment, source="by hand", steps=(*shared, Step(timed)), explicit=True)


class Bench:
    """One tree's set-ups."""

    def __init__(self, engine: DockerEngine, settings: Settings, tree: Path, name: str) -> None:
        self._engine, self._tree = engine, tree
        self._limits = settings.limits
        self._policy = setup_policy(settings, EnvironmentRequest(name))
        self._spec = SetupSpec(
            BASE_IMAGE, settings.limits, "bench", INSTALLATION, owner=INSTALLATION
        )
        self._scope = f"{INSTALLATION} {name}"

    async def detected(self) -> Environment:
        reading = await in_own_process(read_for_choice, self._tree)
        read, settings = reading.tree, EnvironmentSettings()
        found = await in_own_process(candidates, read.files, read.texts, settings, reading.near)
        return next((one for one in found if one.source.startswith("detection")), found[0])

    async def make(self, environment: Environment) -> PreparedEnvironment:
        tree_id = await asyncio.to_thread(tree_hash, self._tree)
        only = replace(environment, explicit=True)
        return await prepare_on_engine(
            self._engine, self._tree, tree_id, (only,), self._spec, self._policy, scope=self._scope
        )

    async def open_and_run(self, image: str, command: str) -> str:
        spec = SandboxSpec(image, self._limits, "bench", "bench", installation=INSTALLATION)
        box = await self._engine.open(spec, self._tree)
        try:
            return (await box.run(command)).text.strip()
        finally:
            await box.close()

    async def again(self) -> None:
        made = await self.make(await self.detected())
        await self.open_and_run(made.image, "true")


async def measure(engine: DockerEngine, settings: Settings, clone: Path, scratch: Path) -> str:
    """A row of the table."""
    tree = scratch / "tree.tar"
    local = await asyncio.to_thread(mirror_local, clone, scratch / "local")
    await asyncio.to_thread(local.mirror.tree_tar, local.commit, tree)
    bench = Bench(engine, settings, tree, clone.name)
    environment = await bench.detected()
    if environment.toolchain is not None:
        await bench.make(environment.toolchain)
    hand = await bench.make(by_hand(environment))
    hand_s = int(await bench.open_and_run(hand.image, f"cat {_SECONDS}")) / 1000
    begun = time.perf_counter()
    await bench.make(environment)
    ours_s = time.perf_counter() - begun
    begun = time.perf_counter()
    await bench.again()
    again_s = time.perf_counter() - begun
    return (
        f"{clone.name:<36} {ours_s:8.1f} {hand_s:8.1f} {ours_s / max(hand_s, 0.001):6.2f} "
        f"{again_s:8.2f}"
    )


def _remove_images() -> None:
    """What was made for the trees; toolchains serve others as well."""
    client = docker.from_env()
    for image in client.images.list(name=REPOSITORY):
        if image.labels.get(SCOPE_LABEL, "").startswith(INSTALLATION):
            client.images.remove(image.id, force=True)
    client.close()


async def main(folder: Path, only: list[str]) -> None:
    print(f"{'repository':<36} {'set-up s':>8} {'by hand':>8} {'ratio':>6} {'again s':>8}")
    print(f"{'target':<36} {'':>8} {'':>8} {MOST_RATIO:6.2f} {MOST_AGAIN_S:8.2f}", flush=True)
    engine = DockerEngine()
    with tempfile.TemporaryDirectory(prefix="patchwright-bench-") as name:
        settings = load(state_dir=Path(name) / "state")
        try:
            await present_image(engine, settings)
            for clone in sorted(path for path in folder.iterdir() if (path / ".git").exists()):
                if only and clone.name not in only:
                    continue
                with tempfile.TemporaryDirectory(prefix="tree-", dir=name) as scratch:
                    try:
                        print(await measure(engine, settings, clone, Path(scratch)), flush=True)
                    except SetupFailed as error:
                        print(f"{clone.name:<36} {str(error).splitlines()[0]}", flush=True)
        finally:
            await engine.sweep((), installation=INSTALLATION)
            await engine.close()
            _remove_images()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a folder of clones")
    parser.add_argument("--only", nargs="*", default=[], help="these clones alone")
    options = parser.parse_args()
    if options.folder is None:
        print("Nothing to do: name a folder of clones.")
        sys.exit(0)
    asyncio.run(main(options.folder, options.only))
