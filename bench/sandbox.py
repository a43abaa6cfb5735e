"""What sandboxes cost, each number beside a floor of the same run on the same engine.

Round trip of a command beside a bare shell on the engine's socket, docker-py and the docker
command; start to first command without and with a pool beside `docker run --rm`; snapshot and
restore beside git's own `add` and `write-tree` in the same container; a sandbox with 2,000 commits
of history beside one without; a big tree's way in beside tar; memory and processor of an idle
sandbox; many at once.

    python bench/sandbox.py [--quick] [--cold] [--histories]

`--cold` also measures the first start after the page cache was dropped, which needs root and slows
everything else on the machine for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.git.commit_history import CommitHistories
from app.git.mirror import Mirror
from sandbox.docker.engine import DockerEngine
from sandbox.docker.exec_stream import ExecStream
from sandbox.docker.pool import WarmPool
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits
from sandbox.shell.sandbox import ShellSandbox
from sandbox.sizing import tree_size
from sandbox.spec import COMMAND_USER, SandboxSpec

GIB = 1024**3
INSTALLATION = f"bench-{uuid.uuid4().hex[:8]}"


def spec(limits: Limits | None = None) -> SandboxSpec:
    return SandboxSpec(BASE_IMAGE, limits or Limits(), "bench", "bench", installation=INSTALLATION)


def line(what: str, value: float, unit: str, floor: float = 0.0, target: str = "") -> None:
    ratio = f"  {value / floor:7.2f} x the floor {floor:.2f} {unit}" if floor else ""
    print(f"  {what:<44} {value:10.2f} {unit}{ratio}{'  target ' + target if target else ''}",
          flush=True)  # fmt: skip


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def median_ms(work: Callable[[], Awaitable[object]], rounds: int) -> float:
    return statistics.median([await timed(work) for _ in range(rounds)]) * 1000


def tree(path: Path, files: int, size: int) -> Path:
    """A tar of files of `size` random bytes, at most a hundred in a folder."""
    with tarfile.open(path, "w") as archive:
        for number in range(files):
            info = tarfile.TarInfo(f"d{number // 10000}/e{number // 100}/f{number}.txt")
            info.size = size
            archive.addfile(info, io.BytesIO(os.urandom(size)))
    return path


class BareShell:
    """The floor: a bash on the engine's socket, one line in and one line out."""

    def __init__(self, stream: ExecStream) -> None:
        self._stream = stream
        self._seen = asyncio.Event()
        stream.on_data = lambda _: self._seen.set()

    @classmethod
    async def open(cls, engine: DockerEngine, container_id: str) -> BareShell:
        return cls(await engine.exec_stream(container_id, ["bash"]))

    async def round_trip(self) -> None:
        self._seen.clear()
        self._stream.write_now(b"true; echo done\n")
        await self._seen.wait()

    def close(self) -> None:
        self._stream.abort()


async def round_trips(engine: DockerEngine, box: ShellSandbox, rounds: int) -> None:
    print("Round trip of `true`")
    bare = await BareShell.open(engine, box.id)
    await bare.round_trip()
    await box.run("true")
    ours, floors = [], []
    # In turns, so that both see the same load of the machine.
    for _ in range(rounds):
        floors.append(await timed(bare.round_trip))
        ours.append(await timed(lambda: box.run("true")))
    bare.close()
    floor = statistics.median(floors) * 1000
    line("Sandbox.run", statistics.median(ours) * 1000, "ms", floor, "<= 2")
    client = docker.from_env()
    container = client.containers.get(box.id)
    few = max(3, rounds // 20)
    by_library = await median_ms(
        lambda: asyncio.to_thread(container.exec_run, "true", user=COMMAND_USER), few
    )
    line("docker-py exec", by_library, "ms", floor)
    command = ["docker", "exec", box.id, "true"]
    by_command = await median_ms(
        lambda: asyncio.to_thread(subprocess.run, command, check=True), few
    )
    line("docker exec", by_command, "ms", floor)
    client.close()


async def starts(engine: DockerEngine, small: Path, rounds: int, *, cold: bool) -> None:
    print("Start to the first command's end")
    run = ["docker", "run", "--rm", "--network=none", BASE_IMAGE, "true"]
    opened: list[ShellSandbox] = []
    pool = WarmPool(engine, size=1, images=1)

    async def floor() -> None:
        await asyncio.to_thread(subprocess.run, run, check=True)

    async def start() -> None:
        box = await engine.open(spec(), small)
        await box.run("true")
        opened.append(box)

    async def warm() -> None:
        box = await pool.open(spec(), small)
        await box.run("true")
        opened.append(box)

    if cold:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        line("cold page cache", await timed(start) * 1000, "ms")
    await warm()
    floors, cached, warmed = [], [], []
    # In turns, so that all see the same load of the machine.
    for _ in range(rounds):
        await pool.wait_until_filled()
        floors.append(await timed(floor))
        cached.append(await timed(start))
        warmed.append(await timed(warm))
    least = statistics.median(floors) * 1000
    line("cached image", statistics.median(cached) * 1000, "ms", least)
    line("pool", statistics.median(warmed) * 1000, "ms", least, "<= 0.3")
    await pool.close()
    for box in opened:
        await box.close()


async def snapshots(engine: DockerEngine, folder: Path, files: int, rounds: int) -> None:
    print(f"Snapshots of {files:,} files, one of which changed")
    box = await engine.open(spec(), tree(folder / f"{files}.tar", files, 300))
    floor_git = "GIT_DIR=/home/sandbox/floor.git GIT_WORK_TREE=/workspace"
    made = await box.run(
        f"export {floor_git}; git init -q && git config gc.auto 0 && git add -A", timeout_s=600
    )
    assert made.ok, made.text
    floors, taken, restored = [], [], []
    base = await box.snapshot()
    for number in range(rounds):
        await box.write("d0/e0/f0.txt", f"changed {number}\n".encode())
        floors.append(await timed(lambda: box.run("git add -A; git write-tree", timeout_s=600)))
        taken.append(await timed(box.snapshot))
        restored.append(await timed(lambda: box.restore(base)))
    floor = statistics.median(floors) * 1000
    line("snapshot", statistics.median(taken) * 1000, "ms", floor)
    line("restore", statistics.median(restored) * 1000, "ms", floor)
    await box.close()


async def transfer(engine: DockerEngine, folder: Path, size: int) -> None:
    print(f"A tree of {size / GIB:.2f} GiB in 1 MiB files")
    path = tree(folder / "big.tar", size // 1024**2, 1024**2)
    out = folder / "out"
    out.mkdir()
    command = ["tar", "-xf", str(path), "-C", str(out)]
    floor = await timed(lambda: asyncio.to_thread(subprocess.run, command, check=True))
    box = await engine.start(
        replace(spec(), tree=await asyncio.to_thread(tree_size, path, spec().limits))
    )
    took = await timed(lambda: engine.fill(box, path))
    line("in, base snapshot included", took, "s", floor)
    await box.close()


def grown_repository(path: Path, commits: int, files: int) -> Mirror:
    """A bare repository whose commits each change a file, and now and then tag or merge."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    words = random.Random(7)

    def text() -> str:
        return "".join(f"value_{words.randrange(10**9)} = {n}\n" for n in range(120))

    parts = []
    for number in range(commits):
        changed = range(files) if number == 0 else [words.randrange(files)]
        said = f"Change {number}"
        parts.append(f"commit refs/heads/main\nmark :{number + 1}\n")
        parts.append(f"committer a <a@b> {1_600_000_000 + 60 * number} +0000\n")
        parts.append(f"data {len(said)}\n{said}\n")
        if number > 2 and number % 50 == 0:
            parts.append(f"from :{number}\nmerge :{number - 2}\n")
        for file in changed:
            body = text()
            name = f"d{file // 20}/f{file}.py"
            parts.append(f"M 100644 inline {name}\ndata {len(body)}\n{body}\n")
        if number % 100 == 99:
            parts.append(f"reset refs/tags/v{number}\nfrom :{number + 1}\n\n")
    stream = "".join(parts).encode()
    done = ["git", "-C", str(path), "fast-import", "--quiet"]
    subprocess.run(done, input=stream, check=True)
    return Mirror(path, "")


def commits_of(mirror: Mirror) -> list[str]:
    """All commits of the branch, the newest first."""
    asked = ["git", "-C", str(mirror.git_dir), "rev-list", "main"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()


async def histories(engine: DockerEngine, folder: Path, rounds: int) -> None:
    mirror = grown_repository(folder / "grown.git", 2_000, 400)
    kept = CommitHistories(mirror, folder / "kept")
    [tip, *_] = commits_of(mirror)
    whole = folder / "grown.tar"
    mirror.tree_tar(tip, whole)
    began = time.perf_counter()
    made = kept.of(tip)
    assert made is not None
    print(f"A sandbox with {made.commits:,} commits of history")
    line("history made, once", time.perf_counter() - began, "s")
    floors, ours = [], []

    async def without() -> None:
        await (await engine.open(spec(), whole)).close()

    async def with_history() -> None:
        def write() -> Path:
            with kept.held(tip) as found:
                assert found is not None
                return found.write_tar(folder / "history.tar").file

        archive = await asyncio.to_thread(write)
        await (await engine.open(spec(), whole, archive)).close()

    await with_history()
    # In turns, so that both see the same load of the machine.
    for _ in range(rounds):
        floors.append(await timed(without))
        ours.append(await timed(with_history))
    size = (folder / "history.tar").stat().st_size / 1024**2
    line("its archive", size, "MiB")
    floor = statistics.median(floors) * 1000
    line("opened and closed", statistics.median(ours) * 1000, "ms", floor, "<= 1.3")


def grown_history(folder: Path, commits: int, later: int) -> None:
    """How long the first base of a large repository takes, and those after it."""
    print(f"The history of a repository of {commits:,} commits")
    mirror = grown_repository(folder / "large.git", commits, 400)
    ids = commits_of(mirror)
    kept = CommitHistories(mirror, folder / "large")
    took = []
    for commit in reversed(ids[: later + 1]):
        began = time.perf_counter()
        made = kept.of(commit)
        took.append(time.perf_counter() - began)
        assert made is not None
    line("first base", took[0], "s")
    line(f"each of {later} later bases, longest", max(took[1:]), "s", target="<= 2")


async def idle(boxes: list[ShellSandbox], seconds: float) -> None:
    client = docker.from_env()

    def usage(box: ShellSandbox) -> tuple[int, int]:
        stats = client.api.stats(box.id, stream=False, one_shot=True)
        return stats["memory_stats"]["usage"], stats["cpu_stats"]["cpu_usage"]["total_usage"]

    before = [await asyncio.to_thread(usage, box) for box in boxes]
    await asyncio.sleep(seconds)
    after = [await asyncio.to_thread(usage, box) for box in boxes]
    memory = statistics.mean(m for m, _ in after) / 1024**2
    used = statistics.mean(b[1] - a[1] for a, b in zip(before, after, strict=True))
    print("An idle sandbox")
    line("memory, tree and caches included", memory, "MiB")
    line("processor", used / 1e9 / seconds * 100, "%")
    client.close()


async def many(engine: DockerEngine, small: Path, count: int, seconds: float) -> None:
    print(f"{count} at once")
    boxes: list[ShellSandbox] = []

    async def open_one() -> None:
        boxes.append(await engine.open(spec(Limits(memory_bytes=GIB // 2)), small))

    async def open_all() -> None:
        await asyncio.gather(*(open_one() for _ in range(count)))

    line("all opened", await timed(open_all), "s")
    line("one command in each",
         await timed(lambda: asyncio.gather(*(box.run("true") for box in boxes))), "s")  # fmt: skip
    await idle(boxes, seconds)
    line("all closed", await timed(lambda: asyncio.gather(*(box.close() for box in boxes))), "s")


async def main(quick: bool, cold: bool, *, only_histories: bool) -> None:
    engine = DockerEngine()
    print(await engine.check())
    with tempfile.TemporaryDirectory(prefix="patchwright-bench-") as name:
        folder = Path(name)
        small = tree(folder / "small.tar", 50, 300)
        try:
            if only_histories:
                await histories(engine, folder, 3 if quick else 9)
                grown_history(folder, 20_000, 3 if quick else 10)
                return
            box = await engine.open(spec(), small)
            await round_trips(engine, box, 60 if quick else 400)
            await box.close()
            await starts(engine, small, 3 if quick else 9, cold=cold)
            for files in (2_000,) if quick else (2_000, 50_000):
                await snapshots(engine, folder, files, 3 if quick else 7)
            await histories(engine, folder, 3 if quick else 9)
            grown_history(folder, 20_000, 3 if quick else 10)
            await transfer(engine, folder, GIB // 16 if quick else GIB)
            await many(engine, small, 6 if quick else 40, 2.0 if quick else 10.0)
        finally:
            await engine.sweep((), installation=INSTALLATION)
            await engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller trees")
    parser.add_argument("--cold", action="store_true", help="drop the page cache once")
    parser.add_argument("--histories", action="store_true", help="only what histories cost")
    words = parser.parse_args()
    asyncio.run(main(words.quick, words.cold, only_histories=words.histories))
