"""Turns as the model servers' caches have room: the decision, the wait, and what servers say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
import structlog
from prometheus_client import generate_latest

from agent.journal.events import AttemptStarted, ModelTurned
from agent.journal.writer import Journal
from agent.model import ToolCall, Turn, Usage
from agent.models.profiles import PROFILES
from app.llm.metered import GovernedModel, ShutdownGate
from app.llm.server_metrics import CacheReader, NoMetrics, kept_tokens, reports_cache
from app.llm.warm_streams import (
    ASK_EVERY_S,
    GROWTH_TOKENS,
    LENT_AFTER_S,
    Conversation,
    Room,
    WarmStreams,
    may_take_turns,
)
from app.storage.store import SqlStore
from app.telemetry.metrics import WORK
from bench.scheduling import LEAST_GAIN, LONGEST_PAUSE, Case, compare
from tests.doubles.sglang.serving import free_port
from tests.support.runs.kept import a_run

ROOM = Room(tokens=200_000)


def conversation(name: str, since: float, tokens: int, idle: float | None = None) -> Conversation:
    return Conversation(name, since, tokens, idle)


def allowed(*conversations: Conversation, room: Room = ROOM, now: float = 1_000.0) -> str:
    return "".join(sorted(may_take_turns(conversations, room, now)))


def test_the_oldest_go_on_as_far_as_there_is_room() -> None:
    old, middle, new = (conversation(name, at, 90_000) for at, name in enumerate("abc"))
    assert allowed(new, middle, old) == "ab"
    assert allowed(new, middle) == "bc"
    assert allowed(old, middle, new, room=Room()) == "abc"
    assert allowed(old, middle, new, room=Room(streams=1)) == "a"


def test_a_little_more_than_fits_stops_nobody_unless_others_wait() -> None:
    old, new = conversation("a", 1, 100_000), conversation("b", 2, 100_000)
    assert allowed(old, new) == "ab"
    assert allowed(old, new, conversation("c", 3, 0)) == "a"
    assert allowed(old, conversation("b", 2, 110_000)) == "a"


def test_nobody_overtakes_one_that_does_not_fit() -> None:
    large, small = conversation("b", 2, 150_000), conversation("c", 3, 1_000)
    assert allowed(conversation("a", 1, 90_000), large, small) == "a"


def test_the_oldest_always_goes_on() -> None:
    assert allowed(conversation("a", 1, 500_000), conversation("b", 2, 10)) == "a"
    assert allowed(conversation("a", 1, 500), room=Room(streams=0.25)) == "a"


def test_what_has_not_begun_is_counted_as_what_it_will_be() -> None:
    begun = conversation("a", 1, 120_000)
    assert allowed(begun, conversation("b", 2, 0)) == "a"
    assert allowed(conversation("a", 1, 60_000), conversation("b", 2, 0)) == "ab"


def test_a_long_tool_call_lends_its_place() -> None:
    old, other = conversation("a", 1, 150_000, 900.0), conversation("b", 2, 100_000)
    assert allowed(old, other, now=900 + LENT_AFTER_S - 1) == "a"
    assert allowed(old, other, now=900 + LENT_AFTER_S + 1) == "ab"
    # Back from its tools it goes first.
    assert allowed(conversation("a", 1, 150_000), other) == "a"


def at(room: Room) -> Callable[[], Awaitable[Room]]:
    async def read() -> Room:
        return room

    return read


async def test_attempts_wait_for_room_and_get_it() -> None:
    warm = WarmStreams(at(ROOM))
    for key in ("a", "b"):
        assert await warm.why_wait(key) == ""
        warm.turned(key, 85_000)
    assert "2 attempts that began earlier" in await warm.why_wait("c")
    warm.left("a")
    warm.left("a")
    assert await warm.why_wait("c") == ""


async def test_contexts_that_grow_together_beyond_the_room_let_the_older_go_on() -> None:
    warm = WarmStreams(at(ROOM))
    for key in ("a", "b"):
        await warm.why_wait(key)
        warm.turned(key, 80_000)
    assert await warm.why_wait("a") == ""
    warm.turned("a", 130_000)
    assert await warm.why_wait("b")
    assert await warm.why_wait("a") == ""


async def test_servers_are_asked_again_after_a_while() -> None:
    now, rooms = [0.0], [Room(tokens=GROWTH_TOKENS), Room()]

    async def read() -> Room:
        return rooms.pop(0)

    warm = WarmStreams(read, lambda: now[0])
    assert not await warm.why_wait("a")
    assert await warm.why_wait("b")
    now[0] += ASK_EVERY_S
    assert not await warm.why_wait("b")
    assert rooms == []


async def test_endpoints_are_counted_apart() -> None:
    small, big = (WarmStreams(at(Room(streams=1)), endpoint=name) for name in ("small", "big"))
    assert not await small.why_wait("a")
    assert await small.why_wait("b")
    assert not await big.why_wait("b")
    told = generate_latest(WORK).decode()
    for endpoint, state, number in (
        ("small", "kept", 1),
        ("small", "waiting", 1),
        ("big", "waiting", 0),
    ):
        labels = f'{{endpoint="{endpoint}",state="{state}"}}'
        assert f"patchwright_warm_streams{labels} {number:.1f}" in told
    assert 'patchwright_warm_room_tokens{endpoint="big"} 0.0' in told


SERVERS = """# TYPE sglang:max_total_num_tokens gauge
sglang:max_total_num_tokens{tp_rank="0",worker_addr="http://a"} 700000
sglang:max_total_num_tokens{tp_rank="1",worker_addr="http://a"} 700000
sglang:max_total_num_tokens{tp_rank="0",worker_addr="http://b"} 700000
# TYPE sglang:hicache_host_total_tokens gauge
sglang:hicache_host_total_tokens{tp_rank="0",worker_addr="http://b"} 1400000
"""


def test_what_servers_say() -> None:
    assert kept_tokens(SERVERS) == 700_000 + 1_400_000
    # The router has another name for it (sglang-router 0.3.2).
    assert kept_tokens(SERVERS.replace("sglang:", "sglang_")) == 700_000 + 1_400_000
    groups = (
        'sglang:max_total_num_tokens{dp_rank="0"} 5\nsglang:max_total_num_tokens{dp_rank="1"} 5\n'
    )
    assert kept_tokens(groups) == 10
    for text, words in (
        ("", "lack sglang_max_total_num_tokens"),
        ("sglang:max_total_num_tokens NaN\n", "lack"),
        ("sglang:max_total_num_tokens{ 1\n", "something else"),
        ("<html>", "something else"),
    ):
        with pytest.raises(NoMetrics, match=words):
            kept_tokens(text)


def test_which_servers_are_asked() -> None:
    assert reports_cache(PROFILES["k2-thinking"])
    assert not reports_cache(PROFILES["vllm"])
    assert not reports_cache(PROFILES["moonshot"])


def reader(answer: Callable[[httpx.Request], httpx.Response], streams: int = 0) -> CacheReader:
    urls = ("http://one/v1", "http://two")
    return CacheReader(urls, streams, "key", httpx.MockTransport(answer))


async def test_the_router_is_asked_and_then_the_server_itself() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        assert request.headers["authorization"] == "Bearer key"
        if request.url.host == "one" or request.url.path == "/metrics":
            return httpx.Response(200, text=SERVERS)
        return httpx.Response(404)

    assert await reader(answer).room() == Room(tokens=2 * 2_100_000)
    assert asked == ["http://one/engine_metrics", "http://two/engine_metrics", "http://two/metrics"]
    assert await reader(answer, streams=7).room() == Room(streams=7)
    assert len(asked) == 3
    assert Room(100, 3).shared_by(2) == Room(50, 1.5)


@pytest.mark.parametrize("fault", ["500", "reset", "garbage", "nobody listens"])
async def test_servers_that_do_not_tell_limit_nothing_and_it_is_said(fault: str) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        if fault == "reset":
            raise httpx.ReadError("reset")
        return httpx.Response(500 if fault == "500" else 200, text="<html>")

    asked = reader(answer)
    if fault == "nobody listens":
        asked = CacheReader((f"http://127.0.0.1:{free_port()}",), 0)
    with structlog.testing.capture_logs() as lines:
        warm = WarmStreams(asked.room)
        for number in range(50):
            assert await warm.why_wait(f"r{number}") == ""
            warm.turned(f"r{number}", 200_000)
    said = [line for line in lines if "PATCHWRIGHT_MODEL_WARM_STREAMS" in line["event"]]
    assert len(said) == 1
    assert said[0]["why"]


class Quick:
    """Answers at once, with a context that fills the room."""

    name, window = "quick", 1000

    async def turn(self, _messages: object, _tools: object) -> Turn:
        call = ToolCall(id="1", name="bash", arguments="{}")
        return Turn(tool_calls=(call,), usage=Usage(prompt_tokens=180_000, completion_tokens=400))

    async def close(self) -> None:
        pass


async def test_an_attempt_waits_between_its_turns_and_says_why(tmp_path) -> None:  # type: ignore[no-untyped-def]
    store = SqlStore(f"sqlite:///{tmp_path / 'p.db'}")
    told: list[str] = []

    async def waiting(reason: str, _seconds: float) -> None:
        told.append(reason)

    warm = WarmStreams(at(ROOM))

    def governed(number: int) -> GovernedModel:
        gate = ShutdownGate()
        return GovernedModel(
            Quick(), store.database, "r", 0, waiting, gate, number, poll_every_s=0.02, warm=warm
        )

    first, second = governed(1), governed(2)
    assert (await first.turn([], [])).waited_s < 5
    later = asyncio.create_task(second.turn([], []))
    done, _ = await asyncio.wait({later}, timeout=0.3)
    assert not done
    assert "1 attempts that began earlier" in told[0]
    await first.turn([], [])
    await first.close()
    turn = await asyncio.wait_for(later, 5)
    assert turn.waited_s >= 0.25
    store.close()


def test_waiting_is_not_the_attempts_time(tmp_path) -> None:  # type: ignore[no-untyped-def]
    store = SqlStore(f"sqlite:///{tmp_path / 'p.db'}")
    run_id = a_run(store, ended=False)
    journal = Journal(store.claim(run_id, "worker-0"), run_id, 1)
    journal.append(
        AttemptStarted(
            model="m", prompt_version="1", base_commit="c", system_prompt="s", task_prompt="t",
            test_command="",
        )
    )  # fmt: skip
    journal.append(ModelTurned.of(Turn(waited_s=3_600.0), took_s=3_610.0))
    turned = store.events(run_id)[-1].event
    assert isinstance(turned, ModelTurned)
    assert (turned.duration_ms, turned.waited_ms) == (10_000, 3_600_000)
    assert journal.elapsed_s < -3_000
    assert Journal(store, run_id, 1).elapsed_s < -3_000
    store.close()


def test_twice_as_many_as_fit_do_more_in_turn_than_at_once() -> None:
    """In virtual time with a fixed seed; `bench/scheduling.py` has more cases."""
    seen = compare(Case("k2-thinking", "8xH200", 2, calls=40), 100, seed=3)
    assert seen.gain >= LEAST_GAIN
    assert seen.in_turn.cached_share > seen.all_at_once.cached_share + 0.5
    assert seen.longest_pause <= LONGEST_PAUSE
