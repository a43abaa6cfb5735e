"""Figures of work: what each event adds, and that nothing a model writes makes a series."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.journal.events import (
    AnyEvent,
    DriftNoticed,
    GateJudged,
    HypothesisProposed,
    HypothesisResolved,
    ModelTurned,
    Recorded,
    RunPhase,
    SandboxOpened,
    ToolFinished,
    ToolStarted,
    now,
)
from agent.model import Usage
from app.github.errors import ForgeAway
from app.runs.failures import outage_label
from app.telemetry import metrics as metrics_work
from app.telemetry import metrics as telemetry_metrics
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxError


def figures() -> dict[str, float]:
    """Every series of this process, by its name and labels."""
    families = text_string_to_metric_families(telemetry_metrics.worker_metrics().decode())
    return {
        s.name + "".join(f" {v}" for _, v in sorted(s.labels.items())): s.value
        for family in families
        for s in family.samples
    }


@contextmanager
def rises(**expected: float) -> Iterator[None]:
    """What happens meanwhile adds exactly this, and no series that was not there."""
    before = figures()
    yield
    after = figures()
    ours = {n: v for n, v in after.items() if n.startswith("patchwright_")}
    assert set(after) == set(before)
    grown = {n: v - before[n] for n, v in ours.items() if v != before[n]}
    counted = {n: v for n, v in grown.items() if "_bucket" not in n and "_created" not in n}
    assert counted == {f"patchwright_{n.replace('__', ' ')}": v for n, v in expected.items()}


def put(*events: AnyEvent) -> None:
    for seq, event in enumerate(events):
        metrics_work.observe_event(Recorded(seq=seq, at=now(), event=event))


def call(name: str, status: str) -> ToolFinished:
    return ToolFinished.model_validate(
        {"call_id": "c", "name": name, "status": status, "output": "o", "duration_ms": 1500}
    )


def test_a_turn_counts_its_tokens_by_what_they_cost() -> None:
    usage = Usage(prompt_tokens=1000, cached_tokens=900, completion_tokens=50)
    with rises(
        model_turn_seconds_count=1,
        model_turn_seconds_sum=2,
        model_tokens_total__prompt_cached=900,
        model_tokens_total__prompt_read=100,
        model_tokens_total__completion=50,
    ):
        put(ModelTurned(usage=usage, duration_ms=2000), RunPhase(phase="debugging"))


def test_tool_calls_count_by_name_and_status_and_invented_ones_together() -> None:
    with rises(
        tool_calls_total__ok__bash=1,
        tool_calls_total__refused__other=2,
        tool_call_seconds_count=3,
        tool_call_seconds_sum=4.5,
    ):
        put(call("bash", "ok"), call("rm -rf", "refused"), call('x"} 1\ny', "refused"))


def test_hypotheses_verdicts_drift_and_sandboxes() -> None:
    with rises(
        hypotheses_total__proposed=1,
        hypotheses_total__refuted=1,
        gate_verdicts_total__refused=1,
        drifts_total__rollback=1,
        sandboxes_opened_total__rebuilt=1,
    ):
        put(
            HypothesisProposed(hypothesis="H1", claim="c", prediction="p", test="t", snapshot="s"),
            HypothesisResolved(hypothesis="H1", verdict="refuted", evidence="e"),
            GateJudged(verdict="refused"),
            DriftNoticed(kind="repeated", answer="rollback", calls_used=3),
            SandboxOpened(sandbox_id="s", reason="rebuilt"),
        )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EngineUnavailable("away"), "engine_away"),
        (ImageMissing("missing"), "image_missing"),
        (SandboxError("full"), "other"),
    ],
)
def test_a_sandbox_that_cannot_be_had_is_counted_and_still_fails(
    error: Exception, kind: str
) -> None:
    before = figures()
    with pytest.raises(type(error)), metrics_work.time_sandbox_opening():
        raise error
    with pytest.raises(type(error)), metrics_work.time_environment():
        raise error
    name = f"patchwright_sandbox_failures_total {kind}"
    assert figures()[name] - before[name] == 2


def test_the_first_tool_call_of_a_round_is_timed_once() -> None:
    first = metrics_work.FirstCall()
    started = Recorded(seq=1, at=now(), event=ToolStarted(call_id="c", name="bash", arguments="{}"))
    before = figures()
    first.observe_event(Recorded(seq=0, at=now(), event=RunPhase(phase="debugging")))
    assert (
        figures()["patchwright_first_call_seconds_count"]
        == before["patchwright_first_call_seconds_count"]
    )
    first.observe_event(started)
    first.observe_event(started)
    after = figures()
    assert (
        after["patchwright_first_call_seconds_count"]
        - before["patchwright_first_call_seconds_count"]
        == 1
    )


def test_attempts_that_wait_for_the_model_are_told_once_each_until_they_are_answered() -> None:
    with rises(model_away_total=3, model_waiting=2):
        metrics_work.model_away("run-1", 1)
        metrics_work.model_away("run-1", 1)
        metrics_work.model_away("run-1", 2)
    with rises(model_waiting=-2):
        metrics_work.model_wait_ended("run-1", 1)
        metrics_work.model_wait_ended("run-1", 2)
        metrics_work.model_wait_ended("run-1", 2)


def test_steps_and_ends() -> None:
    asked = now() - timedelta(seconds=90)
    before = figures()
    metrics_work.count_step_wait(outage_label(ForgeAway("away")))
    metrics_work.count_step_failure()
    metrics_work.count_requeue()
    metrics_work.run_ended("proven", asked, 1)
    metrics_work.run_ended("proven", asked, 2)
    after = figures()

    def grown(name: str) -> float:
        return after[f"patchwright_{name}"] - before[f"patchwright_{name}"]

    assert grown("step_waits_total github") == 1
    assert grown("step_failures_total") == 1
    assert grown("runs_handed_back_total") == 1
    assert grown("runs_ended_total proven") == 2
    assert grown("run_seconds_count") == 1
    assert grown("run_seconds_sum") >= 90


def test_attempts_under_way() -> None:
    with rises(), metrics_work.track_attempt():
        before = figures()["patchwright_attempts"]
        with metrics_work.track_attempt():
            assert figures()["patchwright_attempts"] == before + 1
        assert figures()["patchwright_attempts"] == before


def test_the_process_itself_is_measured() -> None:
    assert figures()["process_resident_memory_bytes"] > 0
