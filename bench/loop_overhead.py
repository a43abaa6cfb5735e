"""What the loop itself costs: an instant model over HTTP, real Docker, the real journal.

Prints for N = 100 and 300 tool calls: wall, CPU, memory, milliseconds and processor time per step,
each with its growth (the last fifty steps beside the first fifty), the share of each prompt that
is the previous one, and bytes sent; beside the floors of the same run: the same commands in the
same kind of shell, and a bare HTTP exchange of the same bytes, which grow too, since each prompt is
longer than the last. Each figure is the median of the repetitions. Then many runs at once in one
process. With `--peer` mini-swe-agent, installed from the registry into that folder, does the same
commands in the same call.

    python bench/loop_overhead.py [--steps 100 300] [--repeat 3] [--concurrent 10 50]
                                  [--concurrent-steps 100] [--peer FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import re
import resource
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.journal.events import Recorded
from agent.models.openai_compat import OpenAICompatModel
from agent.models.profiles import profile_named
from agent.session import debug
from agent.task import Budget, Issue, Task
from app.github.webhooks import Trigger
from app.storage.store import SqlStore
from sandbox.docker.engine import DockerEngine, SandboxSpec
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits, Sandbox

PEER = "mini-swe-agent==2.4.6"


def command(step: int) -> str:
    """Cheap commands; every tenth prints 20 KB."""
    if step % 10 == 9:
        line = f"a line of text that is fifty characters long {step}"
        return f"echo {step}; for i in {{1..400}}; do echo '{line}'; done"
    return ("echo step {0}", "pwd; echo {0}", "true; echo {0}", "x={0}; echo $x")[step % 4].format(
        step
    )


def answer(step: int) -> bytes:
    """A turn that calls bash, in the server's stream format."""
    call = {
        "index": 0,
        "id": f"functions.bash:{step}",
        "type": "function",
        "function": {"name": "bash", "arguments": json.dumps({"command": command(step)})},
    }
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    chunks: list[dict[str, Any]] = [
        {
            "choices": [
                {"index": 0, "delta": {"role": "assistant", "reasoning_content": f"step {step}"}}
            ]
        },
        {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": usage},
    ]
    lines = [
        f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', **c})}\n\n"
        for c in chunks
    ]
    return ("".join(lines) + "data: [DONE]\n\n").encode()


def whole_answer(step: int) -> bytes:
    """The same turn in one piece, for clients that do not stream."""
    function = {"name": "bash", "arguments": json.dumps({"command": command(step)})}
    call = {"id": f"call_{step}", "type": "function", "function": function}
    message = {"role": "assistant", "content": f"step {step}", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    made = {"id": "x", "object": "chat.completion", "created": 0, "model": "instant"}
    return json.dumps({**made, "choices": [choice], "usage": usage}).encode()


class InstantModel(asyncio.BufferedProtocol):
    """A server that does as little as can be done with a request, so that it is not what is
    measured: takes the bytes in place, looks at the end of the last ones, answers with the next
    command.
    """

    def __init__(self) -> None:
        self._buffer = bytearray(ROOM)
        self._filled = 0
        self._expected = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # asyncio does this only for sockets that name their protocol; else each answer waits 40 ms.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Answer once the request is whole."""
        self._filled += nbytes
        if not self._expected:
            head_end = self._buffer.find(b"\r\n\r\n", 0, self._filled)
            if head_end < 0:
                return
            head = bytes(self._buffer[:head_end]).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._expected = head_end + 4 + int(length or 0)
            if self._expected > len(self._buffer):
                self._buffer = self._buffer.ljust(self._expected, b"\0")
        if self._filled >= self._expected:
            end = bytes(self._buffer[max(0, self._filled - TAIL) : self._filled])
            self._filled = self._expected = 0
            self._transport.write(response(end))


ROOM = 2**20
TAIL = 2**16
"""The last result, of 20 KB at most, stands in so many last bytes of a request."""
LAST_CALL = re.compile(rb'.*"tool_call_id": ?"[^"]*[:_](\d+)"', re.DOTALL)


def response(end: bytes) -> bytes:
    """The answer to a request that ends so: the command after the last that has a result."""
    last = LAST_CALL.match(end)
    step = int(last[1]) + 1 if last else 0
    streams = b'"stream":true' in end[-1024:]
    body = answer(step) if streams else whole_answer(step)
    kind = "text/event-stream" if streams else "application/json"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def serve_model(port_out: Connection) -> None:
    """The server's process."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(InstantModel, "127.0.0.1", 0)
        port_out.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def common_prefix(a: bytes, b: bytes) -> int:
    """Length of the common prefix, by halving: quick enough not to be what is measured."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class CountingTransport(httpx.AsyncHTTPTransport):
    """Keeps the size of each request and how much of it stood in the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.shared: list[float] = []
        self._last = b""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Measure, then send."""
        body = await request.aread()
        if self._last:
            self.shared.append(common_prefix(self._last, body) / len(self._last))
        self._last = body
        self.sizes.append(len(body))
        return await super().handle_async_request(request)


@dataclass
class Measured:
    """One run's figures."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    steps_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Processor time of each step."""
    sizes: list[int] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)


def small_tree(folder: Path) -> Path:
    """A repository to work in."""
    (folder / "src").mkdir()
    for i in range(20):
        (folder / "src" / f"m{i}.py").write_text(f"def f{i}():\n    return {i}\n")
    (folder / "test_m.py").write_text("def test_true():\n    assert True\n")
    with tarfile.open(folder / "tree.tar", "w") as tar:
        tar.add(folder / "src", "src")
        tar.add(folder / "test_m.py", "test_m.py")
    return folder / "tree.tar"


async def one_run(
    engine: DockerEngine,
    store: SqlStore,
    tree: Path,
    port: int,
    steps: int,
    name: str,
    *,
    count: bool,
) -> Measured:
    """One attempt of `steps` calls, from an open sandbox to the end of its budget.

    `count`: what it sends is counted, which takes time: such a run's times say nothing.
    """
    spec = SandboxSpec(
        image=BASE_IMAGE, limits=Limits(), run_id=name, purpose="bench", installation="bench"
    )
    transport = CountingTransport() if count else None
    client = httpx.AsyncClient(transport=transport, timeout=60) if transport else None
    model = OpenAICompatModel(
        profile_named("k2-thinking"),
        [f"http://127.0.0.1:{port}/v1"],
        client=client,
        routing_key=name,
    )
    task = Task(
        run_id=name,
        repository="bench/bench",
        base_commit="0",
        issue=Issue(title="bench", body="bench"),
        test_command="true",
        budget=Budget(calls=steps),
    )
    ended: list[float] = []
    used: list[float] = []

    def on_event(entry: Recorded) -> None:
        if entry.event.type in ("attempt_started", "tool_finished"):
            ended.append(time.perf_counter() * 1000)
            used.append(time.process_time() * 1000)

    async def open_sandbox() -> Sandbox:
        return await engine.open(spec, tree)

    async def attach(_: str) -> None:
        return None

    cpu = time.process_time()
    started = time.perf_counter()
    state = await debug(
        task,
        model=model,
        store=store,
        open_sandbox=open_sandbox,
        attach=attach,
        open_fresh=open_sandbox,
        on_event=on_event,
    )
    assert state.calls_used == steps, (state.outcome, state.diagnosis)
    await model.close()
    if client is not None:
        await client.aclose()
    return Measured(
        wall_s=time.perf_counter() - started,
        cpu_s=time.process_time() - cpu,
        steps_ms=[b - a for a, b in itertools.pairwise(ended)],
        cpu_ms=[b - a for a, b in itertools.pairwise(used)],
        sizes=transport.sizes if transport else [],
        shared=transport.shared if transport else [],
    )


def a_run(store: SqlStore, number: int) -> str:
    """A run in the store, as a labelled issue would make it; gives its id."""
    trigger = Trigger(
        installation_id=1,
        repository="bench/bench",
        repository_id=1,
        default_branch="main",
        archived=False,
        issue_number=number,
        issue_title="bench",
        issue_body="bench",
        issue_author="ann",
        issue_open=True,
        is_pull_request=False,
        label="patchwright",
        sender="ann",
        sender_is_bot=False,
    )
    return store.accept(f"delivery-{number}", "issues", trigger, model="bench").run_id


async def shell_floor(engine: DockerEngine, tree: Path, steps: int) -> list[float]:
    """The same commands, straight into the same kind of shell; milliseconds each."""
    spec = SandboxSpec(
        image=BASE_IMAGE, limits=Limits(), run_id="floor", purpose="bench", installation="bench"
    )
    sandbox = await engine.open(spec, tree)
    times = []
    for step in range(steps):
        started = time.perf_counter()
        await sandbox.run(command(step))
        times.append((time.perf_counter() - started) * 1000)
    await sandbox.close()
    return times


async def http_floor(port: int, sizes: list[int]) -> list[float]:
    """A bare exchange of requests of the same sizes; milliseconds each."""
    times = []
    async with httpx.AsyncClient(timeout=60) as client:
        for size in sizes:
            body = b"x" * size
            started = time.perf_counter()
            async with client.stream("POST", f"http://127.0.0.1:{port}/", content=body) as got:
                async for _ in got.aiter_bytes():
                    pass
            times.append((time.perf_counter() - started) * 1000)
    return times


def rss_mib() -> float:
    """Resident memory of this process now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def installed_peer(folder: Path) -> Path:
    """The Python of a folder that has the peer, which is installed if it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [python, "-m", "pip", "install", "--quiet", PEER]
    subprocess.run(install, check=True)
    return python


def peer_run(python: Path, port: int, steps: int) -> Measured:
    """The peer's run of as many steps."""
    program = Path(__file__).with_name("peer_loop.py")
    done = subprocess.run(
        [python, program, f"http://127.0.0.1:{port}/v1", BASE_IMAGE, str(steps)],
        check=True,
        capture_output=True,
        text=True,
    )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True)
class Edges:
    """A figure per step: of the first fifty steps and of the last fifty."""

    first: float
    last: float

    @property
    def growth(self) -> float:
        """How many times the last are the first."""
        return self.last / self.first

    def __str__(self) -> str:
        return f"{self.first:.2f} -> {self.last:.2f} ({self.growth:.2f})"


def edges(steps: Sequence[float]) -> Edges:
    """Of one run."""
    return Edges(statistics.median(steps[:EDGE]), statistics.median(steps[-EDGE:]))


def median_edges(runs: Sequence[Edges]) -> Edges:
    """Of several runs."""
    return Edges(
        statistics.median(run.first for run in runs), statistics.median(run.last for run in runs)
    )


def median_of(runs: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    """A figure's median over several runs."""
    return statistics.median(map(figure, runs))


def per_step(run: Measured) -> float:
    """Milliseconds of a step."""
    return statistics.median(run.steps_ms)


EDGE = 50


@dataclass
class Bench:
    """The engine, the journal's database and the server that all is measured with."""

    engine: DockerEngine
    store: SqlStore
    tree: Path
    port: int
    repeat: int
    peer: Path | None
    """The Python that has the peer."""
    runs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def run(self, steps: int, *, count: bool = False) -> Measured:
        """Another run."""
        name = a_run(self.store, next(self.runs))
        return await one_run(
            self.engine, self.store, self.tree, self.port, steps, name, count=count
        )

    async def one_at_a_time(self, steps: int) -> None:
        """Measure single runs, each followed by its floors, and print."""
        counted = await self.run(steps, count=True)
        runs: list[Measured] = []
        floors: list[list[float]] = []
        peers: list[Measured] = []
        for _ in range(self.repeat):
            runs.append(await self.run(steps))
            shell = await shell_floor(self.engine, self.tree, steps)
            bare = await http_floor(self.port, counted.sizes)
            floors.append([s + h for s, h in zip(shell, bare, strict=False)])
            if self.peer is not None:
                peers.append(await asyncio.to_thread(peer_run, self.peer, self.port, steps))
        step, floor = median_of(runs, per_step), statistics.median(map(statistics.median, floors))
        raw = median_edges([edges(run.steps_ms) for run in runs])
        least = median_edges([edges(times) for times in floors])
        each = ", ".join(f"{edges(run.steps_ms).growth:.2f}" for run in runs)
        print(
            f"{steps} calls, n={self.repeat}: wall {median_of(runs, lambda r: r.wall_s):.2f} s, "
            f"CPU {median_of(runs, lambda r: r.cpu_s):.2f} s, {rss_mib():.0f} MiB resident, "
            f"{sum(counted.sizes) / 1e6:.1f} MB sent; "
            f"{statistics.mean(counted.shared):.4f} of each prompt is the one before\n"
            f"  ms a step {step:.2f}; floor (shell and HTTP) {floor:.2f}; "
            f"over the floor {step - floor:.2f}\n"
            f"  first {EDGE} -> last {EDGE} steps (growth): {raw}, each run {each}\n"
            f"    floor {least}; over the floor "
            f"{Edges(raw.first - least.first, raw.last - least.last)}; "
            f"processor time {median_edges([edges(run.cpu_ms) for run in runs])}",
            flush=True,
        )
        if peers:
            theirs = median_of(peers, per_step)
            print(
                f"  {PEER}: wall {median_of(peers, lambda r: r.wall_s):.2f} s, CPU "
                f"{median_of(peers, lambda r: r.cpu_s):.2f} s with its docker commands, "
                f"{theirs:.1f} ms a step ({theirs / step:.1f} times ours); growth "
                f"{median_edges([edges(run.steps_ms) for run in peers])}",
                flush=True,
            )

    async def at_once(self, count: int, steps: int) -> None:
        """Measure `count` runs at once, and print."""
        before = rss_mib()
        took, cpu_ms, steps_ms = [], [], []
        for _ in range(self.repeat):
            started, cpu = time.perf_counter(), time.process_time()
            measured = await asyncio.gather(*(self.run(steps) for _ in range(count)))
            took.append(time.perf_counter() - started)
            cpu_ms.append((time.process_time() - cpu) * 1000 / count / steps)
            steps_ms.append(statistics.median(t for m in measured for t in m.steps_ms))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{count} runs of {steps} at once, n={self.repeat}: {statistics.median(took):.1f} s, "
            f"median step {statistics.median(steps_ms):.1f} ms, "
            f"CPU {statistics.median(cpu_ms):.1f} ms a step, "
            f"peak memory {peak:.0f} MiB, {(peak - before) / count:.1f} MiB a run; no error",
            flush=True,
        )


async def main(given: argparse.Namespace) -> None:
    """Measure and print."""
    python = installed_peer(given.peer) if given.peer is not None else None
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(
        target=serve_model, args=(theirs,), daemon=True
    )
    server.start()
    port = ours.recv()
    engine = DockerEngine()
    await engine.check()
    with tempfile.TemporaryDirectory() as folder:
        tree = small_tree(Path(folder))
        store = SqlStore(f"sqlite:///{folder}/bench.db")
        bench = Bench(engine, store, tree, port, given.repeat, python)
        for steps in given.steps:
            await bench.one_at_a_time(steps)
        for count in given.concurrent:
            await bench.at_once(count, given.concurrent_steps)
    await engine.sweep((), installation="bench")
    await engine.close()
    server.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=[100, 300])
    parser.add_argument("--concurrent", type=int, nargs="*", default=[10, 50])
    parser.add_argument("--concurrent-steps", type=int, default=100)
    parser.add_argument("--peer", type=Path, help="folder for mini-swe-agent")
    parser.add_argument("--repeat", type=int, default=3)
    asyncio.run(main(parser.parse_args()))
