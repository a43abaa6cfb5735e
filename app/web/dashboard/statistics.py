"""Statistics over the runs that ended: what came of them, what they cost, where they fail."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from agent.journal.events import now
from app.journal_view import cards
from app.outcomes.rows import Outcomes, PullOutcome
from app.storage.records import RunFilter
from app.web.auth.visitors import ReadableRuns
from app.web.dashboard.context import Context, Guest
from app.web.dashboard.efforts import AttemptEffort, Effort, Efforts
from app.web.dashboard.merges import MergeFigures, by_fixing_model, by_repository, whole
from app.web.dashboard.months import read_month
from app.web.dashboard.run_list import Readable, RunRow, read_page
from app.web.rendering import render

router = APIRouter()

NO_OUTCOMES: Mapping[str, PullOutcome] = MappingProxyType({})
RUNS = 200
"""The newest so many are counted."""
FIXES_SHOWN = 60
"""Proven runs that are plotted one by one."""


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What one model's attempts came to: a rung of a ladder, or all there was."""

    model: str
    attempts: int
    proven: int
    tokens_per_fix: float | None
    """Of all its attempts, over those that were proven; None: none was."""
    cost_per_fix: float | None
    """The same in money, of those that had a price; None without prices, too."""


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
    models: tuple[ModelFigures, ...] = ()
    merges: MergeFigures = MergeFigures("all")  # noqa: RUF009 - frozen
    """What became of the pull requests of all of them."""
    merges_by_repository: tuple[MergeFigures, ...] = ()
    merges_by_model: tuple[MergeFigures, ...] = ()


def gather(
    database: sa.Engine,
    efforts: Efforts,
    readable: ReadableRuns | None = None,
    currency: str = "",
) -> Statistics:
    """The statistics over the newest ended runs that the visitor may see. Blocks."""
    rows = read_page(database, RunFilter(status="done"), readable=readable, limit=RUNS).runs
    known = [(row, efforts.of(row.id, row.events)) for row in rows]
    outcomes = Outcomes(database).of_runs([row.id for row in rows])
    return summarise(known, currency, outcomes)


def summarise(
    known: Sequence[tuple[RunRow, Effort]],
    currency: str = "",
    outcomes: Mapping[str, PullOutcome] = NO_OUTCOMES,
) -> Statistics:
    """The figures from runs, what they took, and what became of their pull requests."""
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
        models=by_model([effort for _, effort in known], currency),
        merges=whole(known, outcomes, currency),
        merges_by_repository=by_repository(known, outcomes, currency),
        merges_by_model=by_fixing_model(known, outcomes, currency),
    )


def by_model(known: Sequence[Effort], currency: str) -> tuple[ModelFigures, ...]:
    """Per model what its attempts came to; those with most attempts first.

    Money is what their turns cost at the time, in this currency; attempts without are left out.
    """
    of: dict[str, list[AttemptEffort]] = {}
    for effort in known:
        for attempt in effort.attempts.values():
            of.setdefault(attempt.model, []).append(attempt)
    figures = []
    for model, attempts in of.items():
        proven = sum(a.outcome == "proven" for a in attempts)
        tokens = sum(a.usage.prompt_tokens + a.usage.completion_tokens for a in attempts)
        priced = [a for a in attempts if currency in a.costs]
        fixes = sum(a.outcome == "proven" for a in priced)
        spent = sum(a.costs[currency] for a in priced)
        figures.append(
            ModelFigures(
                model=model,
                attempts=len(attempts),
                proven=proven,
                tokens_per_fix=tokens / proven if proven else None,
                cost_per_fix=spent / fixes if fixes else None,
            )
        )
    return tuple(sorted(figures, key=lambda f: (-f.attempts, f.model)))


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


@router.get("/statistics", response_class=HTMLResponse)
def show_statistics(dashboard: Context, visitor: Guest, readable: Readable) -> HTMLResponse:
    """The statistics over the runs that the visitor may see."""
    currency = dashboard.settings.currency
    figures = gather(dashboard.store.database, dashboard.efforts, readable, currency)
    gpus = dashboard.settings.gpus_per_stream
    return HTMLResponse(
        render(
            "statistics.html",
            visitor=visitor,
            figures=figures,
            gpus=gpus,
            month=read_month(
                dashboard.store.database,
                dashboard.settings,
                now(),
                None if readable is None else sorted(readable.whole),
            ),
            currency=currency,
            weeks=cards.bars(figures.weeks),
            fix_minutes=cards.bars(figures.minutes_each),
            fix_tokens=cards.bars(_scaled(figures.tokens_each, 0.001)),
            fix_seconds=cards.bars(_scaled(figures.seconds_each, gpus or 1)),
        )
    )


def _scaled(values: Sequence[tuple[str, float]], by: float) -> list[tuple[str, float]]:
    return [(name, value * by) for name, value in values]
