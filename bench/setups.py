"""What set-ups cost beside the installer alone, and what the second run of the same manifests does.

    python bench/setups.py FOLDER [--only NAME …] [--rounds 3]

For every clone in a folder the detected environment is made three ways on the same engine: by hand,
which is the same commands (`uv pip install`, `npm ci` and the like) timed in a container of the
same kind by its own clock; as in a run; and again, from the manifests to an open sandbox. The
three follow each other in every round, so that a machine that does other work burdens all of them.
Toolchains, which are shared by all repositories, are there before. No suite is run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.git.local import mirror_local
from app.sandboxes.base import present_image
from app.sandboxes.environment import EnvironmentRequest, setup_policy
from app.settings.loading import load
from app.settings.schema import Settings
from sandbox.docker.engine import DockerEngine
from sandbox.environment.choose import EnvironmentSettings, candidates, read_for_choice
from sandbox.environment.own_process import in_own_process
from sandbox.environment.records import Environment, Step
from sandbox.environment.tree import tree_hash
from sandbox.images.base_image import BASE_IMAGE
from sandbox.setup.container import SetupSpec
from sandbox.setup.docker_images import prepare_on_engine
from sandbox.setup.prepared_images import prune
from sandbox.setup.records import PreparedEnvironment, SetupFailed
from sandbox.spec import SandboxSpec

INSTALLATION = f"bench-{uuid.uuid4().hex[:8]}"
MOST_RATIO = 1.5
MOST_AGAIN_S = 1.0
_SECONDS = "/opt/patchwright/seconds"
_SIZE = r"""
cd /opt/patchwright; {
ls -d python/lib/python*/site-packages/*.dist-info
find workspace -type d -regex '.*/node_modules/\(@[^/]*/\)?[^@./][^/]*'
} 2>/dev/null | wc -l; du -scm python workspace 2>/dev/null | tail -n 1
"""
"""Installed packages, and what they take in MB."""


def by_hand(environment: Environment) -> Environment:
    """The environment's own commands as a person would give them, with the seconds they take."""
    own = [step for step in environment.steps if not step.shared]
    lines = [f"(cd {step.folder} && {step.faster or step.command})" for step in own]
    # Nobody asks for this by hand; without it, each of a run's many processes compiles all anew.
    commands = " && ".join(lines).replace(" --compile-bytecode", "")
    timed = f"begun=$(date +%s%N) && {commands} && "
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
        self._name = name
        self.round = 0
        """Nothing that one round made serves another."""

    async def detected(self) -> Environment:
        reading = await in_own_process(read_for_choice, self._tree)
        read, settings = reading.tree, EnvironmentSettings()
        found = await in_own_process(candidates, read.files, read.texts, settings, reading.near)
        return next((one for one in found if one.source.startswith("detection")), found[0])

    async def make(self, environment: Environment) -> PreparedEnvironment:
        tree_id = await asyncio.to_thread(tree_hash, self._tree)
        only = replace(environment, explicit=True)
        return await prepare_on_engine(
            self._engine,
            self._tree,
            tree_id,
            (only,),
            self._spec,
            self._policy,
            scope=f"{INSTALLATION} {self._name} {self.round}",
        )

    async def open_and_run(self, image: str, command: str) -> str:
        spec = SandboxSpec(image, self._limits, "bench", "bench", installation=INSTALLATION)
        box = await self._engine.open(spec, self._tree)
        try:
            return (await box.run(command)).text.strip()
        finally:
            await box.close()

    async def again(self) -> float:
        """Seconds from the manifests to an open sandbox, where the image is there."""
        begun = time.perf_counter()
        made = await self.make(await self.detected())
        spec = SandboxSpec(made.image, self._limits, "bench", "bench", installation=INSTALLATION)
        box = await self._engine.open(spec, self._tree)
        took = time.perf_counter() - begun
        await box.close()
        return took


@dataclass(frozen=True, slots=True)
class Round:
    """One comparison, in seconds."""

    hand_s: float
    ours_s: float
    again_s: float

    @property
    def ratio(self) -> float:
        return self.ours_s / max(self.hand_s, 0.001)


async def measure(
    engine: DockerEngine, settings: Settings, clone: Path, scratch: Path, rounds: int
) -> str:
    """A row of the table."""
    tree = scratch / "tree.tar"
    local = await asyncio.to_thread(mirror_local, clone, scratch / "local")
    await asyncio.to_thread(local.mirror.tree_tar, local.commit, tree)
    bench = Bench(engine, settings, tree, clone.name)
    environment = await bench.detected()
    if environment.toolchain is not None:
        await bench.make(environment.toolchain)
    done = []
    for bench.round in range(rounds):
        # What an earlier set-up left is gone, which takes the disk for a while.
        await engine.sweep((), installation=INSTALLATION)
        hand = await bench.make(by_hand(environment))
        hand_s = int(await bench.open_and_run(hand.image, f"cat {_SECONDS}")) / 1000
        await engine.sweep((), installation=INSTALLATION)
        begun = time.perf_counter()
        made = await bench.make(environment)
        ours_s = time.perf_counter() - begun
        await engine.sweep((), installation=INSTALLATION)
        done.append(Round(hand_s, ours_s, await bench.again()))
    size = (await bench.open_and_run(made.image, _SIZE)).split()
    return (
        f"{clone.name:<28} {size[0]:>8} {size[1]:>5} {_figures([r.hand_s for r in done])} "
        f"{_figures([r.ours_s for r in done])} {_figures([r.ratio for r in done])} "
        f"{_figures([r.again_s for r in done])}"
    )


def _figures(values: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):6.2f} ({min(values):.2f}-{max(values):.2f})".rjust(20)


async def main(folder: Path, only: list[str], rounds: int) -> None:
    heads = ("by hand s", "set-up s", "ratio", "again to open s")
    print(f"{'repository':<28} {'packages':>8} {'MB':>5} " + " ".join(f"{h:>20}" for h in heads))
    targets = ("", "", f"{MOST_RATIO:.2f}", f"{MOST_AGAIN_S:.2f}")
    print(f"{'target':<43} " + " ".join(f"{t:>20}" for t in targets), flush=True)
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
                        print(
                            await measure(engine, settings, clone, Path(scratch), rounds),
                            flush=True,
                        )
                    except SetupFailed as error:
                        print(f"{clone.name:<36} {str(error).splitlines()[0]}", flush=True)
        finally:
            await engine.sweep((), installation=INSTALLATION)
            await prune(engine, INSTALLATION, most_bytes=0, most_days=0)
            await engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a folder of clones")
    parser.add_argument("--only", nargs="*", default=[], help="these clones alone")
    parser.add_argument("--rounds", type=int, default=3, help="how often all is measured")
    options = parser.parse_args()
    if options.folder is None:
        print("Nothing to do: name a folder of clones.")
        sys.exit(0)
    asyncio.run(main(options.folder, options.only, options.rounds))
