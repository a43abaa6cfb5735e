"""What ended runs took, read from their journals."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from agent.model import Usage
from app.storage.archive import Journals
from app.storage.tables import events, from_micros

MOST_KEPT = 800
"""Efforts kept in this process."""
_TYPES = (
    "attempt_started",
    "attempt_ended",
    "model_turned",
    "tool_finished",
    "reproduction_declared",
    "hypothesis_proposed",
    "hypothesis_resolved",
    "gate_judged",
    "drift_noticed",
    "setup_tried",
    "run_ended",
)


@dataclass(slots=True)
class AttemptEffort:
    """What one attempt took, and what came of it."""

    model: str
    usage: Usage = field(default_factory=Usage)
    model_s: float = 0.0
    outcome: str = ""
    costs: dict[str, float] = field(default_factory=dict)
    """What its turns cost, by currency, at the prices of their moments."""


@dataclass(slots=True)
class Effort:
    """What one run took."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    model_s: float = 0.0
    calls: int = 0
    hypotheses: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    drifts: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    reproduced: bool = False
    confirmed: bool = False
    judged: bool = False
    proven_at: datetime | None = None
    """When the gate first said proven: a run's own times move when its pull request is merged."""
    attempts: dict[int, AttemptEffort] = field(default_factory=dict)
    """By number."""
    costs: dict[str, float] = field(default_factory=dict)
    """What all its turns cost, by currency, with those that repaired its set-up."""
    chosen: int = 0
    """The attempt whose patch was taken last; 0: none."""


class Efforts:
    """What ended runs took, read from their journals once and kept in this process."""

    def __init__(self, database: sa.Engine, journals: Journals) -> None:
        self._database = database
        self._journals = journals
        self._known: OrderedDict[tuple[str, int], Effort] = OrderedDict()

    def of(self, run_id: str, events: int) -> Effort:
        """The effort of a run whose journal has so many events now."""
        key = (run_id, events)
        if key not in self._known:
            self._known[key] = self._read(run_id)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return self._known[key]

    def _read(self, run_id: str) -> Effort:
        effort = Effort()
        seen = False
        for at, event in _entries(self._database, run_id):
            _add_event(effort, at, event)
            seen = True
        if not seen:  # nothing of it is in the tables: it may be in the archive
            for recorded in self._journals.events(run_id):
                _add_event(effort, recorded.at, recorded.event.model_dump(mode="json"))
        return effort


def _entries(database: sa.Engine, run_id: str) -> Iterator[tuple[datetime, dict[str, object]]]:
    """The effort recorded in a journal in the tables."""
    # The type is at the body's beginning: journals are mostly outputs, which need no parsing.
    kind = sa.func.substr(events.c.body, 1, 80)
    wanted = sa.or_(*(kind.like(f'%"type":"{t}"%') for t in _TYPES))
    query = (
        sa.select(events.c.at, events.c.body)
        .where(events.c.run_id == run_id, wanted)
        .order_by(events.c.seq)
    )
    with database.execution_options(read_only=True).connect() as connection:
        for at, body in connection.execute(query):
            yield from_micros(at), json.loads(body)


def _add_event(effort: Effort, at: datetime, event: dict[str, object]) -> None:
    _add(effort, event)
    _add_attempt(effort, event)
    if effort.proven_at is None and event.get("verdict") == "proven":
        effort.proven_at = at


def _add_attempt(effort: Effort, event: dict[str, object]) -> None:
    number = event.get("attempt")
    if not isinstance(number, int):
        return
    if event.get("type") == "attempt_started":
        effort.attempts.setdefault(number, AttemptEffort(str(event.get("model"))))
    attempt = effort.attempts.get(number)
    match event:
        case {"type": "model_turned", "usage": dict(use), "duration_ms": int(ms)} if attempt:
            attempt.usage += Usage.model_validate(use)
            attempt.model_s += ms / 1000
            _add_cost(attempt.costs, event)
        case {"type": "attempt_ended", "outcome": str(outcome)} if attempt:
            attempt.outcome = outcome
        case _:
            pass


def _add_cost(costs: dict[str, float], event: dict[str, object]) -> None:
    match event:
        case {"cost": {"amount": float() | int() as amount, "currency": str(currency)}}:
            costs[currency] = costs.get(currency, 0.0) + amount
        case _:
            pass


def _add(effort: Effort, event: dict[str, object]) -> None:
    match event:
        case {"type": "model_turned", "usage": dict(use), "duration_ms": int(ms)}:
            effort.prompt += use["prompt_tokens"]
            effort.cached += use["cached_tokens"]
            effort.completion += use["completion_tokens"]
            effort.model_s += ms / 1000
            _add_cost(effort.costs, event)
        case {"type": "setup_tried"}:
            _add_cost(effort.costs, event)
        case {"type": "run_ended", "chosen_attempt": int(number)} if number:
            effort.chosen = number
        case {"type": "tool_finished", "name": name, "status": status}:
            effort.calls += 1
            if status not in ("ok", "refused"):
                effort.troubles[f"{name} {status}"] += 1
        case {"type": "hypothesis_proposed"}:
            effort.hypotheses += 1
        case {"type": "reproduction_declared", "accepted": True}:
            effort.reproduced = True
        case {"type": "hypothesis_resolved", "verdict": "confirmed"}:
            effort.confirmed = True
        case {"type": "gate_judged", "verdict": verdict, "checks": list(checks)}:
            effort.judged = True
            if verdict != "proven":
                effort.refusals.update(str(c["name"]) for c in checks if not c["ok"])
        case {"type": "drift_noticed", "kind": str(kind)}:
            effort.drifts[kind] += 1
        case _:
            pass
