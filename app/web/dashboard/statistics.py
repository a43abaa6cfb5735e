"""Statistics over the runs that ended: what came of them, what they cost, where they fail."""

from __future__ import annotations

import json
import statistics
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from app.storage.archive import Journals
from app.storage.records import RunFilter
from app.storage.tables import events, from_micros
from app.web.dashboard.run_list import RunRow, listed

RUNS = 200
"""The newest so many are counted."""
FIXES_SHOWN = 60
"""Proven runs that are plotted one by one."""
_TYPES = (
    "model_turned",
    "tool_finished",
    "reproduction_declared",
    "hypothesis_proposed",
    "hypothesis_resolved",
    "gate_judged",
    "drift_noticed",
)


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


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of the page; times in minutes."""

    runs: int
    outcomes: tuple[tuple[str, int], ...]
    proven: int
    merged: int
    closed: int
    minutes: float
    """Median from the ask to the gate's word."""
    tokens_per_fix: float
    model_s_per_fix: float
    """Seconds that a model worked for a proven fix, median."""
    calls_per_fix: float
    calls_per_hypothesis: float
    cached_share: float
    weeks: tuple[tuple[str, int], ...]
    """Proven runs per week, oldest first."""
    minutes_each: tuple[tuple[str, float], ...]
    tokens_each: tuple[tuple[str, float], ...]
    seconds_each: tuple[tuple[str, float], ...]
    """Of the newest proven runs, oldest first; named by their issue."""
    failing: tuple[tuple[str, int], ...]
    """Where runs that were not proven went wrong, most frequent first."""


class Efforts:
    """What ended runs took, read from their journals once and kept in this process."""

    def __init__(self, engine: sa.Engine, journals: Journals) -> None:
        self._engine = engine
        self._journals = journals
        self._known: OrderedDict[tuple[str, int], Effort] = OrderedDict()

    def of(self, row: RunRow) -> Effort:
        """The effort of a run, as long as its journal is now."""
        key = (row.id, row.events)
        if key not in self._known:
            self._known[key] = self._read(row)
            while len(self._known) > 4 * RUNS:
                self._known.popitem(last=False)
        return self._known[key]

    def _read(self, row: RunRow) -> Effort:
        effort = Effort()
        seen = False
        for at, event in _entries(self._engine, row.id):
            _took(effort, at, event)
            seen = True
        if not seen:  # nothing of it is in the tables: it may be in the archive
            for recorded in self._journals.events(row.id):
                _took(effort, recorded.at, recorded.event.model_dump(mode="json"))
        return effort


def gather(
    engine: sa.Engine, efforts: Efforts, readable: Collection[str] | None = None
) -> Statistics:
    """The statistics over the newest ended runs that the visitor may see. Blocks."""
    rows = listed(engine, RunFilter(status="done"), readable=readable, limit=RUNS).runs
    return summed([(row, efforts.of(row)) for row in rows])


def summed(known: Sequence[tuple[RunRow, Effort]]) -> Statistics:
    """The figures from runs and what they took."""
    fixes = [(row, e) for row, e in known if row.outcome == "proven"]
    shown = fixes[:FIXES_SHOWN][::-1]
    failing: Counter[str] = Counter()
    for row, effort in known:
        if row.outcome == "proven":
            continue
        failing[_last_stage(effort)] += 1
        failing.update({f"gate: {reason}": n for reason, n in effort.refusals.items()})
        failing.update({f"drift: {kind}": n for kind, n in effort.drifts.items()})
        failing.update({f"tool: {kind}": n for kind, n in effort.troubles.items()})
    weeks = Counter(f"{row.created_at:%G-W%V}" for row, _ in fixes)
    calls, proposed = sum(e.calls for _, e in known), sum(e.hypotheses for _, e in known)
    prompt = sum(e.prompt for _, e in known)
    return Statistics(
        runs=len(known),
        outcomes=tuple(Counter(row.outcome or "none" for row, _ in known).most_common()),
        proven=len(fixes),
        merged=sum(row.closed == "merged" for row, _ in known),
        closed=sum(row.closed == "closed" for row, _ in known),
        minutes=_median([_minutes(row, e) for row, e in fixes]),
        tokens_per_fix=_median([e.prompt + e.completion for _, e in fixes]),
        model_s_per_fix=_median([e.model_s for _, e in fixes]),
        calls_per_fix=_median([e.calls for _, e in fixes]),
        calls_per_hypothesis=calls / proposed if proposed else 0.0,
        cached_share=sum(e.cached for _, e in known) / prompt if prompt else 0.0,
        weeks=tuple(sorted(weeks.items())[-26:]),
        minutes_each=tuple((_name(row), _minutes(row, e)) for row, e in shown),
        tokens_each=tuple((_name(row), e.prompt + e.completion) for row, e in shown),
        seconds_each=tuple((_name(row), e.model_s) for row, e in shown),
        failing=tuple(failing.most_common(12)),
    )


def _last_stage(effort: Effort) -> str:
    """How far a run came that was not proven."""
    if effort.judged:
        return "the gate did not say proven"
    if effort.confirmed:
        return "nothing was submitted"
    return "no hypothesis held" if effort.reproduced else "no reproduction was found"


def _minutes(row: RunRow, effort: Effort) -> float:
    return ((effort.proven_at or row.updated_at) - row.created_at).total_seconds() / 60


def _name(row: RunRow) -> str:
    return f"{row.repository}#{row.issue_number}"


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values)) if values else 0.0


def _entries(engine: sa.Engine, run_id: str) -> Iterator[tuple[datetime, dict[str, object]]]:
    """What a journal in the tables holds of effort."""
    # The type stands at the body's beginning: journals are mostly outputs, which need no parsing.
    kind = sa.func.substr(events.c.body, 1, 80)
    wanted = sa.or_(*(kind.like(f'%"type":"{t}"%') for t in _TYPES))
    query = (
        sa.select(events.c.at, events.c.body)
        .where(events.c.run_id == run_id, wanted)
        .order_by(events.c.seq)
    )
    with engine.execution_options(read_only=True).connect() as connection:
        for at, body in connection.execute(query):
            yield from_micros(at), json.loads(body)


def _took(effort: Effort, at: datetime, event: dict[str, object]) -> None:
    _add(effort, event)
    if effort.proven_at is None and event.get("verdict") == "proven":
        effort.proven_at = at


def _add(effort: Effort, event: dict[str, object]) -> None:
    match event:
        case {"type": "model_turned", "usage": dict(use), "duration_ms": int(ms)}:
            effort.prompt += use["prompt_tokens"]
            effort.cached += use["cached_tokens"]
            effort.completion += use["completion_tokens"]
            effort.model_s += ms / 1000
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
