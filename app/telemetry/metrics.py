"""Figures of the work done in this process, for Prometheus: counted as it happens.

Totals only, no names of repositories, runs or people. Labels take their values from fixed lists,
so that nothing a model writes makes a series; every series is there from the start with 0, so that
a first failure is a rise. A restart begins at 0 again, which `rate()` and `increase()` expect.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from agent.journal.events import (
    DriftNoticed,
    GateJudged,
    HypothesisProposed,
    HypothesisResolved,
    ModelTurned,
    Outcome,
    QuestionAnswered,
    QuestionAsked,
    Recorded,
    SandboxOpened,
    ToolFinished,
    ToolStarted,
    ToolStatus,
    Verdict,
    now,
)
from agent.tools.registry import TOOLS
from sandbox.errors import EngineUnavailable, ImageMissing, SandboxGone

WORK = CollectorRegistry()
"""The figures of this process."""

OTHER = "other"
"""Stands for a tool that the model made up."""

_TURN_S = (0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_CALL_S = (0.01, 0.1, 0.5, 1, 5, 15, 60, 120, 300, 600)
_RUN_S = (60, 120, 300, 600, 1200, 2400, 3600, 7200, 14_400, 28_800)
_SANDBOX_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


def _counter(name: str, text: str, **labels: tuple[str, ...]) -> Counter:
    """A counter whose series are all there."""
    made = Counter(f"patchwright_{name}", text, labelnames=tuple(labels), registry=WORK)
    series: list[tuple[str, ...]] = [()]
    for values in labels.values():
        series = [(*one, value) for one in series for value in values]
    for one in series:
        if one:
            made.labels(*one)
    return made


def _histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"patchwright_{name}", text, buckets=buckets, registry=WORK)


_tools = (*TOOLS, OTHER)
_turn_seconds = _histogram("model_turn_seconds", "Duration of a model turn.", _TURN_S)
_tokens = _counter(
    "model_tokens", "Tokens by kind.", kind=("prompt_read", "prompt_cached", "completion")
)
_model_away = _counter("model_away", "Turns that found no model server available.")
_calls = _counter("tool_calls", "Tool calls.", tool=_tools, status=get_args(ToolStatus))
_call_seconds = _histogram("tool_call_seconds", "Duration of a tool call.", _CALL_S)
_verdicts = _counter("gate_verdicts", "Verdicts of the gate.", verdict=get_args(Verdict))
_hypotheses = _counter(
    "hypotheses", "Hypotheses.", event=("proposed", "confirmed", "refuted", "abandoned")
)
_questions = _counter(
    "questions",
    "Questions to people; default: nobody answered in time.",
    event=("asked", "answered", "default"),
)
_drifts = _counter(
    "drifts", "Times a run was going in circles.", answer=("nudge", "rollback", "end")
)
_opened = _counter(
    "sandboxes_opened",
    "Sandboxes of attempts; rebuilt: the last one or its worker was lost.",
    reason=("start", "resumed", "rebuilt"),
)
_sandbox_failures = _counter(
    "sandbox_failures",
    "Sandboxes or environments that could not be created.",
    kind=("engine_away", "image_missing", "gone", OTHER),
)
_open_seconds = _histogram("sandbox_open_seconds", "Time to open a sandbox.", _SANDBOX_S)
_prepare_seconds = _histogram(
    "prepare_seconds", "Time to prepare a repository's environment.", _SANDBOX_S
)
_first_call_seconds = _histogram(
    "first_call_seconds",
    "Time from taking a round of a run off the queue to its first tool call.",
    _SANDBOX_S,
)
_waits = _counter(
    "step_waits",
    "Times a step waited because something was unavailable.",
    away=("github", "github_limit", "git", "engine", "sandbox", OTHER),
)
_failures = _counter("step_failures", "Steps of runs that failed for good.")
_requeued = _counter("runs_handed_back", "Runs requeued because something was unavailable.")
_ended = _counter("runs_ended", "Rounds of runs that ended.", outcome=get_args(Outcome))
_run_seconds = _histogram("run_seconds", "Time from request to the end of round one.", _RUN_S)
_attempts = Gauge("patchwright_attempts", "Active attempts in this process.", registry=WORK)
_waiting = Gauge(
    "patchwright_model_waiting", "Attempts that wait for a model server.", registry=WORK
)
_warm = Gauge(
    "patchwright_warm_streams",
    "Attempts by what the model servers' caches do for them: kept, or waiting for room.",
    labelnames=("endpoint", "state"),
    registry=WORK,
)
for _state in ("kept", "waiting"):
    _warm.labels("default", _state)
_warm_room = Gauge(
    "patchwright_warm_room_tokens",
    "This process's part of what the model servers' caches keep; 0: not known, no limit.",
    labelnames=("endpoint",),
    registry=WORK,
)
_warm_room.labels("default")
ProcessCollector(registry=WORK)

_away: set[tuple[str, int]] = set()
_lock = threading.Lock()


def observe_event(recorded: Recorded) -> None:
    """A journal's entry, as it is written."""
    match recorded.event:
        case ModelTurned(usage=usage, duration_ms=ms):
            _turn_seconds.observe(ms / 1000)
            _tokens.labels("prompt_cached").inc(usage.cached_tokens)
            _tokens.labels("prompt_read").inc(max(usage.prompt_tokens - usage.cached_tokens, 0))
            _tokens.labels("completion").inc(usage.completion_tokens)
        case ToolFinished(name=name, status=status, duration_ms=ms):
            _calls.labels(name if name in TOOLS else OTHER, status).inc()
            _call_seconds.observe(ms / 1000)
        case HypothesisProposed():
            _hypotheses.labels("proposed").inc()
        case HypothesisResolved(verdict=verdict):
            _hypotheses.labels(verdict).inc()
        case GateJudged(verdict=verdict):
            _verdicts.labels(verdict).inc()
        case QuestionAsked():
            _questions.labels("asked").inc()
        case QuestionAnswered(author=author):
            _questions.labels("answered" if author else "default").inc()
        case DriftNoticed(answer=answer):
            _drifts.labels(answer).inc()
        case SandboxOpened(reason=reason):
            _opened.labels(reason).inc()
        case _:
            pass


class FirstCall:
    """Times one round of a run, from when it was taken off the queue to its first tool call."""

    def __init__(self) -> None:
        self._taken: float | None = time.monotonic()

    def observe_event(self, recorded: Recorded) -> None:
        """A journal's entry, as it is written."""
        if self._taken is not None and isinstance(recorded.event, ToolStarted):
            _first_call_seconds.observe(time.monotonic() - self._taken)
            self._taken = None


@contextmanager
def track_attempt() -> Iterator[None]:
    """Counts an attempt as active during the block."""
    with _attempts.track_inprogress():
        yield


def model_away(run_id: str, attempt: int) -> None:
    """No model server responds to this attempt; it waits."""
    _model_away.inc()
    with _lock:
        _away.add((run_id, attempt))
        _waiting.set(len(_away))


def model_wait_ended(run_id: str, attempt: int) -> None:
    """The attempt no longer waits: it got an answer, or it ended."""
    with _lock:
        _away.discard((run_id, attempt))
        _waiting.set(len(_away))


def warm_streams(endpoint: str, kept: int, waiting: int) -> None:
    """So many attempts take turns, and so many wait for room in that endpoint's caches."""
    _warm.labels(endpoint, "kept").set(kept)
    _warm.labels(endpoint, "waiting").set(waiting)


def warm_room(endpoint: str, tokens: float) -> None:
    """This process's part of what that endpoint's caches keep."""
    _warm_room.labels(endpoint).set(tokens)


@contextmanager
def time_sandbox_opening() -> Iterator[None]:
    """Measures the opening of a sandbox in the block."""
    with _count_sandbox_failure(), _open_seconds.time():
        yield


@contextmanager
def time_environment() -> Iterator[None]:
    """Measures the preparation of a repository's environment in the block."""
    with _count_sandbox_failure(), _prepare_seconds.time():
        yield


@contextmanager
def _count_sandbox_failure() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        kinds: dict[type[BaseException], str] = {
            EngineUnavailable: "engine_away",
            ImageMissing: "image_missing",
            SandboxGone: "gone",
        }
        _sandbox_failures.labels(_kind(error, kinds)).inc()
        raise


def count_step_wait(away: str) -> None:
    """A step is retried later because something is unavailable: one of the counter's labels."""
    _waits.labels(away).inc()


def count_step_failure() -> None:
    """A step failed for good; its run ends with what is known."""
    _failures.inc()


def count_requeue() -> None:
    """A run went back to the queue."""
    _requeued.inc()


def run_ended(outcome: Outcome, asked_at: datetime, number: int) -> None:
    """A round of a run is over."""
    _ended.labels(outcome).inc()
    if number == 1:
        _run_seconds.observe((now() - asked_at).total_seconds())


def _kind(error: BaseException, kinds: dict[type[BaseException], str]) -> str:
    return next((kind for known, kind in kinds.items() if isinstance(error, known)), OTHER)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def worker_metrics() -> bytes:
    """The metrics of a worker's process; the service reports those of the installation."""
    return generate_latest(WORK)
