"""The capacity plan: memory, cache over tool time, queueing; its agreement with a simulation."""

from __future__ import annotations

import io
import math
import random
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from agent.decisions.context_cut import high_water, low_water
from agent.journal.events import AnyEvent, ModelTurned, ModelWaiting, Recorded
from agent.model import Usage
from app.cli.main import cli
from app.operations.capacity.cache import steady_state
from app.operations.capacity.hardware import SPEEDS
from app.operations.capacity.journals import Measured, TooLittle, measure
from app.operations.capacity.models import K2_ATTENTION_GB, MODELS
from app.operations.capacity.plan import plan, waiting
from app.operations.capacity.serving import NoRecipe, Serving, pools, serving
from app.operations.capacity.text_report import Setup, advice, print_plans, servings, write_plot
from app.operations.capacity.workload import (
    ASSUMED_TOOL_TIMES,
    ToolTimes,
    Workload,
    contexts,
    prompts,
)
from bench.capacity import TOLERANCE, Point, beyond, compare, compare_waits
from tests.doubles.sglang import latency

H200 = serving("k2-thinking", "8xH200")
WORK = Workload(runs_per_day=500)


def with_hicache(one: Serving, ratio: float = 2) -> Serving:
    return replace(one, host_ratio=ratio)


def test_kv_cache_of_the_published_architectures() -> None:
    assert MODELS["k2-thinking"].kv_bytes_per_token() == 61 * 576 * 2 == 70_272
    assert MODELS["k3"].kv_bytes_per_token(1) == 24 * 576
    # 61 layers of some 100 million attention weights, two bytes each.
    assert pytest.approx(12.3, abs=0.3) == K2_ATTENTION_GB
    assert plan(WORK, H200).kv_gb_per_window == pytest.approx(18.42, abs=0.01)


def test_k3_divides_its_memory_as_the_cookbook_does() -> None:
    """`_kimi_k3_mamba_ratio_calculator.jsx`: 5 slots, TP16, fp32 states, 80,000 tokens."""
    one = serving("k3", "2x8xH200")
    state = one.model.state
    assert state is not None
    slot = 69 * (6 * 128 * 128 * 4 + 3 * 3 * 6 * 128 * 2)
    assert state.slot_bytes(16) == slot
    room = pools(one, 80_000)
    ratio = room.states * slot / (room.tokens * one.kv_bytes_per_token)
    assert ratio == pytest.approx(5 * slot / (80_000 * 27_648))
    # Decode context parallelism shares the tokens out, not the states.
    assert serving("k3", "8xB300").kv_bytes_per_token == 27_648 / 8


def test_speeds_are_those_of_the_stand_in() -> None:
    for name, row in (("8xH200", "8xH200-int4"), ("16xH100", "16xH100-fp8")):
        assert SPEEDS["k2", name].tokens_per_s == latency.HARDWARE[row].decode_tokens_per_s
        assert SPEEDS["k2", name].prefill_tokens_per_s == latency.HARDWARE[row].prefill_tokens_per_s


def test_the_context_grows_is_cut_and_grows_again() -> None:
    seen = list(prompts(WORK, 400, 400))
    tokens = [prompt for prompt, _ in seen]
    assert tokens[0] == 8_000
    assert max(tokens) <= high_water(262_144)
    cuts = [i for i in range(1, 400) if tokens[i] < tokens[i - 1]]
    assert len(cuts) == 2
    assert all(tokens[i] == low_water(262_144) for i in cuts)
    assert [i for i, (_, new) in enumerate(seen) if new > 10_000] == cuts
    assert contexts(WORK, 400).changed == pytest.approx(1.25 / 150, rel=0.1)


def test_tool_times_are_a_distribution() -> None:
    assert ASSUMED_TOOL_TIMES.mean == pytest.approx(4)
    assert ASSUMED_TOOL_TIMES.share_within(1) > 0.5
    assert ASSUMED_TOOL_TIMES.seconds[-1] > 100
    times = ToolTimes.of([1.0, 2.0, 3.0, 10.0])
    assert times.share_within(2) == 0.5
    assert times.mean_up_to(3) == pytest.approx((1 + 2 + 3 + 3) / 4)
    many = ToolTimes.of([random.Random(1).expovariate(0.5) for _ in range(10_000)])
    assert len(many.seconds) <= 400


def test_prefixes_are_lost_beyond_an_age_and_hicache_keeps_them() -> None:
    few, many = steady_state(WORK, H200, 5), steady_state(WORK, H200, 12)
    assert few.cached_share > 0.98
    assert many.cached_share < 0.2
    assert many.turns_per_s < few.turns_per_s
    kept = steady_state(WORK, with_hicache(H200), 11)
    assert kept.cached_share > 0.96
    assert kept.from_host_share > 0.2
    assert kept.turns_per_s > 1.3 * few.turns_per_s


def test_long_tool_calls_cost_prefixes() -> None:
    slow = replace(WORK, tool_times=ASSUMED_TOOL_TIMES.scaled(40))
    assert plan(slow, H200).attempts_per_day < 0.7 * plan(WORK, H200).attempts_per_day
    assert plan(slow, with_hicache(H200)).attempts > plan(slow, H200).attempts


def test_readers_apart_hold_up_nobody() -> None:
    split = replace(serving("k2-thinking", "8xB300"), prefill_servers=1, decode_servers=1)
    both = serving("k2-thinking", "8xB300")
    assert steady_state(WORK, split, 12).attempt_s < 1.15 * steady_state(WORK, both, 12).attempt_s
    assert split.gpus == 2 * both.gpus


def test_a_draft_makes_attempts_shorter() -> None:
    assert plan(WORK, replace(H200, speculative=1.6)).servers < plan(WORK, H200).servers


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
    two, one = plan(WORK, H200), plan(WORK, replace(H200, kv_bytes=1))
    grouped = plan(WORK, replace(H200, attention_groups=4))
    assert two.attempts < one.attempts < grouped.attempts + 3
    # Each group holds the attention weights once more.
    groups = pools(replace(H200, attention_groups=4), 80_000).tokens
    assert groups < 4 * pools(H200, 80_000).tokens


def test_weights_that_leave_no_room_are_told() -> None:
    made = plan(WORK, replace(serving("k2-thinking", "4xMI300X"), kv_bytes=2))
    assert (made.servers, made.gpus, made.slots, made.utilisation) == (0, 0, 0, 0.0)
    assert "no attempt fits" in advice(made)


@pytest.mark.parametrize("runs", [1, 50, 500, 10_000])
def test_bounds_are_kept_and_no_server_is_too_many(runs: int) -> None:
    made = plan(Workload(runs_per_day=runs), H200, most_utilised=0.8, longest_wait_s=300)
    assert made.utilisation <= 0.8
    assert made.mean_wait_s <= 300
    assert made.steady is not None
    fewer = (made.servers - 1) * made.attempts
    if made.servers > 1:
        too_full = made.offered / fewer > 0.8
        assert too_full or waiting(fewer, made.offered, made.steady.attempt_s, 0.4)[1] > 300


def test_measured_figures_replace_assumptions() -> None:
    measured = serving("k2-thinking", "8xH200", tokens_per_s=20, streams=3)
    assert plan(WORK, measured).attempts < 6
    assert serving("k3", "8xB300", prefill_tokens_per_s=2_600).speed.prefill_tokens_per_s == 2_600
    for model, hardware, groups in (
        ("k2-thinking", "8xA100", 1),
        ("k9", "8xH200", 1),
        ("k3", "8xH200", 1),
        ("k3", "8xB300", 2),
        ("k2-thinking", "8xH200", 3),
    ):
        with pytest.raises(NoRecipe, match=r"known are|do not make|no recipe is known"):
            serving(model, hardware, groups=groups)


def test_each_model_goes_on_the_hardware_that_has_a_recipe() -> None:
    names = [one.name for one in servings(["k3", "k2.6"], ["8xB300", "8xH200"], Setup())]
    assert names == ["k3 8xB300"] * 2 + ["k2.6 8xH200"] * 2 + ["k2.6 8xB300"] * 2
    with pytest.raises(NoRecipe, match="Recipes: k3: 2x8xH200"):
        servings(["k3"], ["8xH200"], Setup())
    with pytest.raises(NoRecipe, match="there is no model"):
        servings(["k4"], [], Setup())
    with pytest.raises(NoRecipe, match=r"e\.g\. 1:1"):
        servings(["k3"], [], Setup(split="1"))


def test_the_table_says_what_to_buy_and_what_to_set(tmp_path: Path) -> None:
    out = io.StringIO()
    rows = [H200, with_hicache(H200), serving("k2-thinking", "4xMI300X")]
    console = Console(file=out, width=240)
    plans = print_plans(console, WORK, rows, most_utilised=0.8, longest_wait_s=300)
    text = out.getvalue()
    for words in ("GPU-hours a run", "does not fit", "HiCache", "estimated", "docs/capacity.md"):
        assert words in text
    assert f"PATCHWRIGHT_CONCURRENCY={plans[0].slots} " in text
    assert "--max-running-requests 16." in text
    write_plot(tmp_path / "plot.svg", WORK, plans)
    plot = ET.fromstring((tmp_path / "plot.svg").read_text())
    lines = plot.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 4
    assert all(len(line.attrib["points"].split()) > 5 for line in lines)


def test_the_command(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    asked = ["capacity", "--runs-per-day", "500", "--hardware", "8xH200", "--attempts", "2"]
    answer = CliRunner().invoke(cli, [*asked, "--plot", str(plot)])
    assert answer.exit_code == 0, answer.output
    assert "2 attempt(s) of 150 turns" in answer.output
    assert plot.exists()
    wrong = CliRunner().invoke(cli, [*asked, "--model", "k3"])
    assert wrong.exit_code != 0
    assert "no recipe is known" in wrong.output


def journal(turns: int, pause_s: float, start: datetime) -> list[Recorded]:
    """One attempt: each turn writes 300 tokens in 10 s, and its tool's output has 500."""
    found: list[Recorded] = []
    at, prompt = start, 6_000

    def record(event: AnyEvent) -> None:
        found.append(Recorded(seq=len(found), at=at, event=event))

    for number in range(turns):
        at += timedelta(seconds=10)
        usage = Usage(prompt_tokens=prompt, completion_tokens=300)
        record(ModelTurned(attempt=1, usage=usage, duration_ms=10_000))
        at += timedelta(seconds=pause_s)
        prompt += 800
        if number == 3:
            at += timedelta(hours=1)
            record(ModelWaiting(attempt=1, reason="away", retry_in_s=1))
    return found


def test_the_workload_of_journals() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    runs = [journal(turns, pause, start) for turns, pause in ((20, 1.0), (40, 5.0), (60, 2.0))]
    found = measure(runs)
    work = found.workload(WORK)
    assert work.calls == 40
    assert work.start_tokens == 6_000
    assert work.written_tokens == 300
    assert work.read_tokens == 500
    # The hour in which the model was away is no tool call.
    assert work.tool_times.seconds[-1] == pytest.approx(5.0)
    assert work.runs_per_day == 500
    assert [length for _, length in work.lengths] == [0.5, 1.0, 1.5]
    with pytest.raises(TooLittle, match="0 attempts with 0 pauses"):
        Measured().workload(WORK)


@pytest.mark.parametrize(
    "point",
    [
        Point("k2-thinking", "8xH200", calls=60),
        Point("k2-thinking", "8xH200", calls=60, load=2),
        Point("k2.7-code", "8xH200", calls=60, host_ratio=2),
        Point("k2.6", "8xH200", calls=60, split=True),
        Point("k3", "2x8xH200", calls=60),
        Point("k3", "8xB300", calls=40, tool_s=20),
    ],
    ids=lambda point: point.name,
)
def test_the_simulation_agrees(point: Point) -> None:
    """Virtual time and fixed seeds: no measurement of this machine."""
    _, lines = compare(point, 300, seed=7)
    assert beyond(point, lines) == []


def test_the_simulation_agrees_on_waits() -> None:
    _, lines = compare_waits(8_000, seed=7)
    assert {line.name: line.off for line in lines if abs(line.off) > TOLERANCE} == {}
