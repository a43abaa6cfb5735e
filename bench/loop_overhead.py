"""What the loop itself costs: an instant model over HTTP, real Docker, the real journal.

Prints for N = 100 and 300 tool calls: wall, CPU, memory, milliseconds per step for the first and
last fifty, the share of each prompt that is the previous one, and bytes sent; beside the floors of
the same run: the same commands in the same kind of shell, and a bare HTTP exchange of the same
bytes. Then many runs at once in one process. With `--peer` mini-swe-agent, installed from the
registry into that folder, does the same commands in the same call.

    python bench/loop_overhead.py [--steps 100 300] [--concurrent 10 50] [--concurrent-steps 100]
                                  [--peer FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import resource
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import uvicorn

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


async def model_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The instant model: counts results in the request, answers with the next command."""
    if scope["type"] != "http":
        return
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    step = body.count(b'"role":"tool"') + body.count(b'"role": "tool"')
    streams = b'"stream":true' in body or b'"stream": true' in body
    kind = b"text/event-stream" if streams else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send(
        {"type": "http.response.body", "body": answer(step) if streams else whole_answer(step)}
    )


def serve_model(port_out: Connection) -> None:
    """The server's process."""
    listening = socket.create_server(("127.0.0.1", 0))
    # asyncio does this only for sockets that name their protocol; else each answer waits 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port_out.send(listening.getsockname()[1])
    uvicorn.Server(uvicorn.Config(model_app, log_level="critical")).run(sockets=[listening])


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
    """One attempt of `steps` calls, from an open sandbox to the end of its budget."""
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

    def on_event(entry: Recorded) -> None:
        if entry.event.type in ("attempt_started", "tool_finished"):
            ended.append(time.perf_counter())

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
        steps_ms=[(b - a) * 1000 for a, b in itertools.pairwise(ended)],
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


async def main(
    steps_list: list[int], concurrent: list[int], concurrent_steps: int, peer: Path | None
) -> None:
    """Measure and print."""
    python = installed_peer(peer) if peer is not None else None
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
        print(
            "N     wall s  CPU s  RSS MiB  ms/step  first50  last50  ratio  prefix  sent MB"
            "  floor shell+http ms  over floor ms"
        )
        for steps in steps_list:
            m = await one_run(engine, store, tree, port, steps, a_run(store, steps), count=True)
            shell = await shell_floor(engine, tree, steps)
            bare = await http_floor(port, m.sizes)
            floor = statistics.median(s + h for s, h in zip(shell, bare, strict=False))
            first, last = statistics.median(m.steps_ms[:50]), statistics.median(m.steps_ms[-50:])
            middle = statistics.median(m.steps_ms)
            print(
                f"{steps:<5} {m.wall_s:6.2f}  {m.cpu_s:5.2f}  {rss_mib():7.0f}  {middle:7.2f}  "
                f"{first:7.2f}  {last:6.2f}  {last / first:5.2f}  "
                f"{statistics.mean(m.shared):6.4f}  "
                f"{sum(m.sizes) / 1e6:7.1f}  {floor:19.2f}  {middle - floor:13.2f}",
                flush=True,
            )
            if python is not None:
                their = await asyncio.to_thread(peer_run, python, port, steps)
                per_step = statistics.median(their.steps_ms)
                print(
                    f"      {PEER}: wall {their.wall_s:.2f} s, CPU {their.cpu_s:.2f} s with its "
                    f"docker commands, {per_step:.1f} ms/step ({per_step / middle:.1f} times ours; "
                    f"wall {their.wall_s / m.wall_s:.1f} times), last/first 50 "
                    f"{statistics.median(their.steps_ms[-50:]):.1f}/"
                    f"{statistics.median(their.steps_ms[:50]):.1f}",
                    flush=True,
                )
        before = rss_mib()
        for count in concurrent:
            started, cpu = time.perf_counter(), time.process_time()
            runs = [
                one_run(
                    engine,
                    store,
                    tree,
                    port,
                    concurrent_steps,
                    a_run(store, count * 1000 + i),
                    count=False,
                )
                for i in range(count)
            ]
            measured = await asyncio.gather(*runs)
            took = time.perf_counter() - started
            cpu_ms = (time.process_time() - cpu) * 1000 / count / concurrent_steps
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            steps_ms = [t for m in measured for t in m.steps_ms]
            print(
                f"{count} runs of {concurrent_steps} at once: {took:.1f} s, "
                f"median step {statistics.median(steps_ms):.1f} ms, CPU {cpu_ms:.1f} ms a step, "
                f"peak memory {peak:.0f} MiB, {(peak - before) / count:.1f} MiB a run; no error",
                flush=True,
            )
    await engine.sweep((), installation="bench")
    await engine.close()
    server.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="*", default=[100, 300])
    parser.add_argument("--concurrent", type=int, nargs="*", default=[10, 50])
    parser.add_argument("--concurrent-steps", type=int, default=100)
    parser.add_argument("--peer", type=Path, help="folder for mini-swe-agent")
    given = parser.parse_args()
    asyncio.run(main(given.steps, given.concurrent, given.concurrent_steps, given.peer))
