"""Plots as numbers for inline SVG: coordinates only, so that the page needs no script for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.journal_view.strip import strip
from app.journal_view.summary import STAGES, RunSummary

WIDTH, HEIGHT = 600, 120
MOST_POINTS = 300
WIDEST_BAR = 56


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot."""

    name: str
    points: str
    """As `polyline` takes them."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a plot: place and size in a field of `WIDTH` by `HEIGHT`."""

    label: str
    value: float
    x: float
    y: float
    width: float
    height: float


def lines(series: Sequence[tuple[str, Sequence[float]]]) -> list[Line]:
    """Lines on one scale from zero; long series are thinned, keeping their last point."""
    top = max((max(values) for _, values in series if values), default=0) or 1
    return [Line(name, _points(_thin_out(values), top)) for name, values in series if values]


def bars(values: Sequence[tuple[str, float]]) -> list[Bar]:
    """Bars side by side on one scale from zero."""
    if not values:
        return []
    top = max(value for _, value in values) or 1
    step = min(WIDTH / len(values), WIDEST_BAR)
    return [
        Bar(
            label,
            value,
            round(step * n + 2, 1),
            round(HEIGHT - HEIGHT * value / top, 1),
            round(max(step - 4, 1), 1),
            round(HEIGHT * value / top, 1),
        )
        for n, (label, value) in enumerate(values)
    ]


def _thin_out(values: Sequence[float]) -> list[float]:
    if len(values) <= MOST_POINTS:
        return list(values)
    step = (len(values) - 1) / (MOST_POINTS - 1)
    return [values[round(n * step)] for n in range(MOST_POINTS)]


def _points(values: Sequence[float], top: float) -> str:
    step = WIDTH / max(len(values) - 1, 1)
    return " ".join(
        f"{step * n:.1f},{HEIGHT - HEIGHT * value / top:.1f}" for n, value in enumerate(values)
    )


TESTS_SHOWN = 100


def card_values(
    head: RunSummary,
    *,
    where: str = "",
    run_id: str = "",
    budget_calls: int = 0,
    budget_tokens: int = 0,
    budget_cost: float = 0.0,
) -> dict[str, object]:
    """What `cards.html` and `head.html` print.

    `where` is the address of the run's page; empty: the journal stands on the same page. Without
    a `run_id` there is no service to ask for images. Budgets of nought are not shown.
    """
    read = [float(p.prompt) for p in head.points]
    cached = [float(p.cached) for p in head.points]
    tests = head.tests()
    return {
        "head": head,
        "lines": lines([("read", read), ("cached", cached)]),
        "most_read": max(read, default=0),
        "strips": [strip(n, s.tries, s.answer) for n, s in sorted(head.searches.items())],
        "tests": tests[:TESTS_SHOWN],
        "more_tests": max(len(tests) - TESTS_SHOWN, 0),
        "stages": STAGES,
        "where": where,
        "run_id": run_id,
        "budget_calls": budget_calls,
        "budget_tokens": budget_tokens,
        "budget_cost": budget_cost,
        "spent": max(head.costs.values(), default=0.0),
    }
