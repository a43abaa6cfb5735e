"""What the head of a run's page shows: gathered from the journal once, then only carried on.

A journal of thousands of events is read in windows; what is kept of it is small and stays in this
process, so that a page that is open again costs only the events that came since.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from agent.events import GateJudged, Recorded
from app.store import SqlStore

WINDOW = 500
"""Events read at once."""
KEPT_RUNS = 64
"""Heads kept in this process."""


@dataclass(frozen=True, slots=True)
class Node:
    """A hypothesis in the tree."""

    attempt: int
    id: str
    claim: str
    prediction: str
    test: str
    seq: int
    verdict: Literal["open", "confirmed", "refuted", "abandoned"] = "open"
    evidence: str = ""
    calls: tuple[tuple[str, int], ...] = ()
    """The tool calls that are its evidence, with where they stand in the journal (-1: nowhere)."""


@dataclass(frozen=True, slots=True)
class TurnPoint:
    """Tokens of one turn."""

    prompt: int
    cached: int
    completion: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of the tree that can be compared with others."""

    attempt: int
    id: str
    log_id: str
    why: str


@dataclass(slots=True)
class Head:
    """The figures of a run so far; grows event by event."""

    seq: int = -1
    phase: str = "queued"
    doing: str = ""
    attempts: int = 0
    nodes: dict[tuple[int, str], Node] = field(default_factory=dict)
    points: list[TurnPoint] = field(default_factory=list)
    snapshots: dict[tuple[int, str], Snapshot] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    """Tool calls per attempt."""
    places: dict[tuple[int, str], int] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    """Outcome per test, where it was seen first and last."""
    gate: GateJudged | None = None
    diagnosis: str = ""
    model_s: float = 0.0
    waiting: str = ""
    hints: int = 0

    @property
    def prompt(self) -> int:
        """Tokens read in all."""
        return sum(p.prompt for p in self.points)

    @property
    def cached(self) -> int:
        """Tokens read that the server's cache had."""
        return sum(p.cached for p in self.points)

    @property
    def completion(self) -> int:
        """Tokens written in all."""
        return sum(p.completion for p in self.points)

    @property
    def cached_share(self) -> float:
        """Part of the prompts that the cache served, 0 to 1."""
        return self.cached / self.prompt if self.prompt else 0.0

    @property
    def most_calls(self) -> int:
        """Calls of the attempt that made most."""
        return max(self.calls.values(), default=0)

    def changed_tests(self) -> list[tuple[str, str, str]]:
        """Tests that changed or do not pass: name, before, after."""
        return [
            (name, self.before[name], now)
            for name, now in sorted(self.after.items())
            if now != self.before[name] or now in ("failed", "error")
        ]


def carry_on(head: Head, recorded: Recorded) -> None:
    """Take one more event into a head."""
    event, attempt = recorded.event, recorded.event.attempt
    head.seq = recorded.seq
    if event.type != "model_waiting":
        head.waiting = ""
    match event.type:
        case "run_phase":
            head.phase, head.doing = event.phase, event.detail
        case "attempt_started":
            head.attempts = max(head.attempts, attempt)
            head.doing = f"attempt {attempt} with {event.model}"
            for name in event.base_failures:
                head.before.setdefault(name, "failed")
        case "model_turned":
            use = event.usage
            head.points.append(
                TurnPoint(use.prompt_tokens, use.cached_tokens, use.completion_tokens)
            )
            head.model_s += event.duration_ms / 1000
        case "tool_started":
            head.doing = f"attempt {attempt}: {event.name}"
        case "tool_finished":
            head.calls[attempt] = head.calls.get(attempt, 0) + 1
            head.places[attempt, event.call_id] = recorded.seq
            for name, outcome in (event.tests or {}).items():
                head.before.setdefault(name, outcome)
                head.after[name] = outcome
        case "hypothesis_proposed":
            head.nodes[attempt, event.hypothesis] = Node(
                attempt,
                event.hypothesis,
                event.claim,
                event.prediction,
                event.test,
                recorded.seq,
            )
        case "hypothesis_resolved":
            node = head.nodes.get((attempt, event.hypothesis))
            if node is not None:
                calls = tuple((c, head.places.get((attempt, c), -1)) for c in event.calls)
                head.nodes[attempt, event.hypothesis] = Node(
                    node.attempt,
                    node.id,
                    node.claim,
                    node.prediction,
                    node.test,
                    node.seq,
                    event.verdict,
                    event.evidence,
                    calls,
                )
        case "snapshot_taken":
            head.snapshots[attempt, event.snapshot] = Snapshot(
                attempt, event.snapshot, event.patch_log, event.why
            )
        case "gate_judged":
            head.gate = event
        case "note_added":
            head.hints += event.source == "human"
        case "model_waiting":
            head.waiting = event.reason
        case "attempt_ended":
            head.diagnosis = event.diagnosis or head.diagnosis
            head.doing = f"attempt {attempt} ended: {event.outcome}"
        case "run_ended":
            head.phase, head.doing = "ended", event.outcome
            head.diagnosis = event.diagnosis or head.diagnosis
        case _:
            pass


class Heads:
    """The heads of the runs that were looked at lately; safe from several threads."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._heads: OrderedDict[str, Head] = OrderedDict()

    def of(self, run_id: str) -> Head:
        """The run's head now: a copy, which the caller may keep."""
        with self._lock:
            head = self._heads.pop(run_id, None) or Head()
            self._heads[run_id] = head
            while len(self._heads) > KEPT_RUNS:
                self._heads.popitem(last=False)
            while more := self._store.events(run_id, after=head.seq, limit=WINDOW):
                for recorded in more:
                    carry_on(head, recorded)
                if len(more) < WINDOW:
                    break
            return _copied(head)


def _copied(head: Head) -> Head:
    kept = copy.copy(head)
    for name in ("nodes", "points", "snapshots", "calls", "places", "before", "after"):
        setattr(kept, name, copy.copy(getattr(head, name)))
    return kept
