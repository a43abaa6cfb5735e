"""The real sglang-router in front of two stand-in workers: stickiness, deaths, recovery."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ModelAway
from agent.gate.judge import Submission
from agent.journal.events import GateJudged, Recorded
from agent.journal.state import fold
from agent.journal.store import MemoryStore
from agent.model import Message
from agent.models.doctor import Endpoint, check_endpoint
from agent.models.http import Timeouts
from agent.models.openai_compat import OpenAICompatModel
from agent.models.profiles import K2_THINKING, PROFILES
from agent.models.request_body import Conversation
from agent.models.retry import Patience
from agent.session import debug
from agent.task import Issue, Task
from tests.doubles.memory_sandbox import MemorySandbox
from tests.doubles.seeded_policy import FILES, TITLE, WRONG
from tests.doubles.sglang.checks import conversation_error
from tests.doubles.sglang.optional import Unavailable, environment
from tests.doubles.sglang.rig import BASH, START, grown
from tests.doubles.sglang.serving import free_port, process, seen, stand_in_command, wait_for
from tests.support.router import ROUTER, turns


@dataclass
class Worker:
    """A stand-in process that can die and come back on its port."""

    stack: ExitStack
    arguments: Sequence[str]
    port: int = field(default_factory=free_port)
    running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = stand_in_command(self.port, *self.arguments)
        self.running = self.stack.enter_context(process(command))
        wait_for(f"{self.url}/health")

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running.wait()


@dataclass
class Cluster:
    """Two workers behind a router."""

    url: str
    workers: tuple[Worker, Worker]

    def homes(self, key: str) -> list[Worker]:
        """The workers that have seen this run."""
        return [w for w in self.workers if key in seen(w.url)["keys"]]

    def alive(self) -> list[Worker]:
        """The workers that still run."""
        return [w for w in self.workers if w.running is not None and w.running.poll() is None]


class Clusters:
    """Starts clusters for one test and ends them after it."""

    def __init__(self, python: Path, folder: Path, stack: ExitStack) -> None:
        self._python = python
        self._folder = folder
        self._stack = stack

    def script(self, turns: list[dict[str, object]]) -> list[str]:
        """The workers' arguments for these turns."""
        script = self._folder / "turns.json"
        script.write_text(json.dumps(turns))
        return ["--script", str(script)]

    def start(self, arguments: list[str], each: tuple[list[str], list[str]] = ([], [])) -> Cluster:
        """Two workers with these arguments, and the router."""
        one, two = (Worker(self._stack, [*arguments, *own]) for own in each)
        one.start()
        two.start()
        port = free_port()
        command = [
            str(self._python), "-m", "sglang_router.launch_router",
            "--worker-urls", one.url, two.url,
            "--policy", "manual", "--assignment-mode", "min_group",
            "--host", "127.0.0.1", "--port", str(port),
            "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()),
            "--health-check-interval-secs", "1", "--health-failure-threshold", "1",
            "--health-success-threshold", "1", "--cb-timeout-duration-secs", "2",
            "--retry-max-retries", "2",
        ]  # fmt: skip
        self._stack.enter_context(process(command))
        wait_for(f"http://127.0.0.1:{port}/readiness")
        return Cluster(f"http://127.0.0.1:{port}", (one, two))


@pytest.fixture(scope="module")
def router_python() -> Path:
    try:
        return environment("router-venv", (ROUTER,))
    except Unavailable as error:
        pytest.fail(f"sglang-router is needed: {error}")


@pytest.fixture
def clusters(router_python: Path, tmp_path: Path) -> Iterator[Clusters]:
    with ExitStack() as stack:
        yield Clusters(router_python, tmp_path, stack)
    shutil.rmtree(tmp_path, ignore_errors=True)


@dataclass
class Waited:
    """What the client said while it waited."""

    reasons: list[str] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reason: str, retry_in_s: float) -> None:
        self.reasons.append(f"{reason} ({retry_in_s:.1f} s)")
        self.began.set()


def model(cluster: Cluster, key: str, waited: Waited, away_s: float = 60.0) -> OpenAICompatModel:
    return OpenAICompatModel(
        K2_THINKING,
        [cluster.url],
        routing_key=key,
        patience=Patience(away_s=away_s, retries=20, first_wait_s=0.2, longest_wait_s=1.0),
        timeouts=Timeouts(connect_s=2, first_s=20, idle_s=10),
        on_waiting=waited,
    )


async def test_each_run_stays_on_one_worker(clusters: Clusters) -> None:
    cluster = clusters.start(clusters.script(turns(4)))
    keys = [f"run-{i}" for i in range(4)]
    for key in keys:
        client, messages = model(cluster, key, Waited()), START
        for _ in range(5):
            turn = await client.turn(messages, (BASH,))
            messages = grown(messages, turn, "ok\n" * 100)
        assert turn.content == "All done."
        assert turn.usage.cached_tokens / turn.usage.prompt_tokens > 0.7
        await client.close()
    homes = [cluster.homes(key) for key in keys]
    assert [len(home) for home in homes] == [1, 1, 1, 1]
    # The ports are new each time, and so is where a key leads: four may well share a worker.
    for key in (further := [f"further-{i}" for i in range(16)]):
        client = model(cluster, key, Waited())
        await client.turn(START, (BASH,))
        await client.close()
    assert len({cluster.homes(key)[0].port for key in (*keys, *further)}) == 2
    assert all(seen(w.url)["refusals"] == [] for w in cluster.workers)


async def test_a_worker_that_dies_in_mid_stream_is_replaced(clusters: Clusters) -> None:
    # 19 tokens a second: the first turn takes some eight seconds.
    cluster = clusters.start([*clusters.script(turns(2)), "--time-scale", "2"])
    client = model(cluster, "run-1", Waited())
    task = asyncio.create_task(client.turn(START, (BASH,)))
    while not (home := [w for w in cluster.homes("run-1") if seen(w.url)["chunks"] > 3]):
        await asyncio.sleep(0.05)
    assert seen(home[0].url)["answered"] == 0, "in the middle of its stream"
    home[0].kill()
    turn = await task
    assert [c.id for c in turn.tool_calls] == ["functions.bash:0"]
    assert any("Asked" in w for w in turn.warnings)
    (other,) = [w for w in cluster.workers if w is not home[0]]
    assert "run-1" in seen(other.url)["keys"]
    await client.close()


async def test_both_dying_is_waited_for_and_recovered_from(clusters: Clusters) -> None:
    cluster = clusters.start(clusters.script(turns(2)))
    waited = Waited()
    client = model(cluster, "run-1", waited)
    turn = await client.turn(START, (BASH,))
    for worker in cluster.workers:
        worker.kill()
    impatient = model(cluster, "run-2", Waited(), away_s=2.0)
    with pytest.raises(ModelAway):
        await impatient.turn(START, (BASH,))
    task = asyncio.create_task(client.turn(grown(START, turn, "ok"), (BASH,)))
    await asyncio.wait_for(waited.began.wait(), 120)
    cluster.workers[1].start()
    again = await task
    assert [c.id for c in again.tool_calls] == ["functions.bash:1"]
    assert waited.reasons
    await client.close()
    await impatient.close()


SUMS = [
    {"reasoning": "I use the tool.", "calls": [{"name": "add", "arguments": {"a": a, "b": b}}]}
    for a, b in ((2, 3), (40, 2), (7, 8), (20, 1))
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wrong", "named"),
    [
        ("k2.6", [], {}),
        (
            "k3",
            ["--parsers", "kimi_k2", "--context-length", "131072"],
            {"tool calls are parsed": "kimi_k3", "window": "--context-length 1048576"},
        ),
        ("k2.7-code", ["--template", "k2.5"], {"earlier thinking": "is to see all of it"}),
    ],
)
async def test_doctor_sees_through_the_router(
    clusters: Clusters, name: str, wrong: list[str], named: dict[str, str]
) -> None:
    profile = PROFILES[name]
    served = ["--template", name, "--model", profile.model]
    window = ["--context-length", str(profile.window)]
    cluster = clusters.start([*clusters.script(SUMS), *served, *window, *wrong])
    findings = await check_endpoint(Endpoint(profile=profile, base_urls=(cluster.url,)))
    bad = {f.name: f.text for f in findings if not f.ok}
    assert bool(bad) == bool(named), bad
    for what, words in named.items():
        assert words in bad[what]
    window_told = next(f for f in findings if f.name == "window").detail
    assert "tokens; the profile counts on" in window_told


@pytest.mark.slow
@pytest.mark.long
async def test_a_long_run_with_faults_and_a_death_ends_whole_and_cached(
    clusters: Clusters,
) -> None:
    seed, calls = random.randrange(10_000), 300
    print(f"seed {seed}")
    cluster = clusters.start(
        ["--seeded", f"{seed}:{calls}", "--fault-share", "0.1"],
        each=(["--seed", str(seed)], ["--seed", str(seed + 1)]),
    )
    store = MemoryStore()
    died: list[dict[str, Any]] = []

    def kill_at_half(recorded: Recorded) -> None:
        # Three events a call: turn, start, end.
        if recorded.seq > calls * 3 // 2 and not died:
            homes = cluster.homes("run-1")
            died.extend(seen(home.url) for home in homes)
            homes[0].kill()

    async def agree(submission: Submission, *_: object) -> GateJudged:
        return GateJudged(verdict="proven", patch=submission.patch)

    async def sandbox() -> MemorySandbox:
        return MemorySandbox(FILES, pretended_shell)

    async def attach(_: str) -> None:
        return None

    client = model(cluster, "run-1", Waited())
    task = Task(
        run_id="run-1",
        repository="o/shop",
        base_commit="c0",
        issue=Issue(title=TITLE, body=""),
        test_command="python3 -m pytest -q",
    )
    state = await debug(
        task,
        model=client,
        store=store,
        open_sandbox=sandbox,
        attach=attach,
        open_fresh=sandbox,
        judge_with=agree,
        on_event=kill_at_half,
    )
    await client.close()
    events = [r.event for r in store.events("run-1")]
    turns_taken = [e for e in events if e.type == "model_turned"]
    # Until its death one worker had the run, and all of the run's cache.
    assert len(died) == 1
    (other,) = cluster.alive()
    before, after = died[0], seen(other.url)
    assert before["keys"]["run-1"] >= calls // 3
    assert before["cached_tokens"] / before["prompt_tokens"] >= 0.97
    assert after["keys"]["run-1"] >= calls // 3
    share = sum(t.usage.cached_tokens for t in turns_taken) / sum(
        t.usage.prompt_tokens for t in turns_taken
    )
    print(f"cached {share:.4f}, faults {before['faults']} then {after['faults']}")
    assert state.outcome == "proven"
    assert state.calls_used == calls
    assert fold(events) == state
    assert conversation_is_whole(state.messages)
    assert before["refusals"] == after["refusals"] == []
    assert before["faults"]
    assert after["faults"]
    assert share >= 0.97


def pretended_shell(command: str, files: Mapping[str, str]) -> tuple[int, str]:
    if "tests/test_discount.py" in command and "pytest" in command:
        wrong = WRONG in files["shop/prices.py"]
        return (1, "E  AssertionError: assert 0.0 == 90") if wrong else (0, "1 passed")
    if "pytest" in command:
        return 1, "E  AssertionError: assert 0.0 == 90"
    return len(command) % 3, f"output of {command}\n" * 30


def conversation_is_whole(messages: Sequence[Message]) -> bool:
    """Whether each call is answered exactly once, and no id comes twice."""
    sent = json.loads(b"[" + Conversation(K2_THINKING).encode(messages) + b"]")
    ids = [call.id for message in messages for call in message.tool_calls]
    return conversation_error(sent) is None and len(ids) == len(set(ids))
