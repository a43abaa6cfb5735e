"""The capacity plan: architecture, queueing, limits; and its agreement with a simulation."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli.capacity import UnknownHardware, advice, print_plans, serving
from app.cli.main import cli
from app.operations.capacity import (
    HARDWARE,
    Workload,
    attempt_profile,
    attention_weights_gb,
    kv_bytes_per_token,
    kv_tokens_per_group,
    plan,
    server_capacity,
    turns,
    waiting,
)
from bench.capacity import TOLERANCE, Line, compare, compare_waits
from tests.doubles.sglang import latency

H200 = serving("8xH200")
WORK = Workload(runs_per_day=500)


def test_kv_cache_of_the_published_architecture() -> None:
    assert kv_bytes_per_token() == 61 * 576 * 2 == 70_272
    assert kv_bytes_per_token(1) == 35_136
    capacity = server_capacity(H200, attempt_profile(WORK, H200), 262_144)
    assert capacity.kv_gb_per_window == pytest.approx(18.42, abs=0.01)
    # 61 layers of some 100 million attention weights, two bytes each.
    assert attention_weights_gb() == pytest.approx(12.3, abs=0.3)


def test_speeds_are_those_of_the_stand_in() -> None:
    for name, row in (("8xH200", "8xH200-int4"), ("16xH100", "16xH100-fp8")):
        assert HARDWARE[name].tokens_per_s == latency.HARDWARE[row].decode_tokens_per_s
        assert HARDWARE[name].prefill_tokens_per_s == latency.HARDWARE[row].prefill_tokens_per_s


def test_the_context_grows_is_cut_and_grows_again() -> None:
    contexts = [t.context for t in turns(WORK, H200, 400)]
    assert contexts[0] == 8_400
    assert max(contexts) <= 0.75 * 262_144 + 400
    cuts = [i for i in range(1, 400) if contexts[i] < contexts[i - 1]]
    assert len(cuts) == 3
    assert all(contexts[i] == pytest.approx(0.4 * 262_144 + 400) for i in cuts)
    reads = [t.uncached for t in turns(WORK, H200, 400)]
    assert [i for i, tokens in enumerate(reads) if tokens > 10_000] == cuts


def test_erlang_c() -> None:
    # One place: an attempt waits with the probability that it is taken.
    waits, mean, late = waiting(1, 0.5, 60.0, 1.0)
    assert waits == pytest.approx(0.5)
    assert mean == pytest.approx(60.0)
    assert late == pytest.approx(120 * math.log(10))
    # A textbook value: two places, one Erlang: 1/3.
    assert waiting(2, 1.0, 1.0, 1.0)[0] == pytest.approx(1 / 3)
    assert waiting(20, 10.0, 60.0, 0.5)[2] == 0.0


def test_more_memory_more_attempts_until_the_streams_are_the_bound() -> None:
    attempt = attempt_profile(WORK, H200)
    two = server_capacity(H200, attempt, WORK.window)
    one = server_capacity(replace(H200, kv_bytes=1), attempt, WORK.window)
    grouped = server_capacity(replace(H200, attention_groups=4), attempt, WORK.window)
    assert two.attempts < one.attempts < grouped.attempts_by_memory
    assert grouped.attempts == H200.hardware.streams
    # Each group holds the attention weights once more.
    assert kv_tokens_per_group(replace(H200, attention_groups=4)) < kv_tokens_per_group(H200)


def test_weights_that_leave_no_room_are_told() -> None:
    made = plan(WORK, serving("16xH100-fp8"))
    assert (made.servers, made.gpus, made.slots) == (0, 0, 0)
    assert "no attempt fits" in advice(WORK, made)
    assert "INT4" in advice(WORK, made)


@pytest.mark.parametrize("runs", [1, 50, 500, 10_000])
def test_bounds_are_kept_and_no_server_is_too_many(runs: int) -> None:
    made = plan(Workload(runs_per_day=runs), H200, most_utilised=0.8, longest_wait_s=300)
    assert made.utilisation <= 0.8
    assert made.mean_wait_s <= 300
    fewer = (made.servers - 1) * made.server.attempts
    if made.servers > 1:
        too_full = made.offered / fewer > 0.8
        assert too_full or waiting(fewer, made.offered, made.attempt.seconds, 0.4)[1] > 300


def test_measured_figures_replace_assumptions() -> None:
    measured = serving("8xH200", tokens_per_s=20, streams=3)
    made = plan(WORK, measured)
    assert made.server.attempts == 3
    assert made.attempt.seconds > attempt_profile(WORK, H200).seconds
    for name, groups in (("8xA100", 1), ("8xH200", 3), ("8xH200", 0)):
        with pytest.raises(UnknownHardware, match=r"known are|cannot be split"):
            serving(name, groups=groups)


def test_the_table_says_what_to_buy_and_what_to_set() -> None:
    out = io.StringIO()
    rows = [H200, serving("16xH100-fp8")]
    console = Console(file=out, width=140)
    print_plans(console, WORK, rows, most_utilised=0.8, longest_wait_s=300)
    made, text = plan(WORK, H200), out.getvalue()
    for words in ("servers needed", "does not fit", "18.4 GB", "30 to 45", "docs/capacity.md"):
        assert words in text
    assert f"PATCHWRIGHT_CONCURRENCY={made.slots} " in text
    assert f"--max-running-requests {made.server.attempts}," in text
    assert "with --kv-dtype fp8:" in text


def test_the_command() -> None:
    answer = CliRunner().invoke(
        cli, ["capacity", "--runs-per-day", "500", "--hardware", "8xH200", "--attempts", "2"]
    )
    assert answer.exit_code == 0, answer.output
    assert "2 attempt(s) of 150 turns" in answer.output


def off(lines: list[Line]) -> dict[str, float]:
    return {line.name: round(line.off, 3) for line in lines if abs(line.off) > TOLERANCE}


@pytest.mark.parametrize("name", ["8xH200", "16xH100", "8xB200"])
def test_the_simulation_agrees(name: str) -> None:
    """Virtual time and fixed seeds: no measurement of this machine."""
    _, lines = compare(Workload(runs_per_day=500, calls=60), serving(name), 1_500, seed=7)
    assert off(lines) == {}


def test_the_simulation_agrees_on_waits() -> None:
    _, lines = compare_waits(12_000, seed=7)
    assert off(lines) == {}
