"""The plot of a capacity plan: a server with more and more attempts at once, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

WIDTH, HEIGHT, LEFT, TOP = 560, 260, 64, 36
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8a6d3b")
"""Told apart also by those who see colours differently (M. Okabe, K. Ito, "Color Universal
Design", 2008)."""
TICKS = 5

_templates = Environment(
    loader=PackageLoader("app.operations.capacity", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Curve:
    """One server: attempts at once and what comes of it."""

    name: str
    per_day: tuple[tuple[float, float], ...]
    """Attempts that end in a day."""
    cached: tuple[tuple[float, float], ...]
    """Prompt tokens from the cache, per cent."""
    planned: int
    """Attempts at once in the plan."""


def svg(curves: Sequence[Curve]) -> str:
    """Two panels above a legend; every second curve is dashed."""
    most_at_once = _round_up(max((x for one in curves for x, _ in one.per_day), default=1))
    most_per_day = _round_up(max((y for one in curves for _, y in one.per_day), default=1))
    panels = [
        _panel("Attempts per day and server", curves, 0, most_at_once, most_per_day),
        _panel("Prompt tokens from the cache, %", curves, 1, most_at_once, 100.0),
    ]
    legend = [
        {
            "name": f"{one.name}: {one.planned} at once",
            "colour": _colour(number),
            "dash": number % 2,
            "y": 2 * (HEIGHT + 76) + 20 * number,
        }
        for number, one in enumerate(curves)
    ]
    height = 2 * (HEIGHT + 76) + 20 * len(curves) + 12
    return _templates.get_template("capacity.svg.jinja").render(
        panels=panels, legend=legend, width=WIDTH + LEFT + 24, height=height, left=LEFT
    )


def _panel(
    title: str, curves: Sequence[Curve], number: int, most_x: float, most_y: float
) -> dict[str, object]:
    top = TOP + number * (HEIGHT + 76)

    def x_of(x: float) -> float:
        return round(LEFT + WIDTH * x / most_x, 1)

    def y_of(y: float) -> float:
        return round(top + HEIGHT * (1 - max(0.0, y) / most_y), 1)

    lines = [
        {
            "points": " ".join(
                f"{x_of(x)},{y_of(y)}" for x, y in (one.cached if number else one.per_day)
            ),
            "colour": _colour(index),
            "dash": index % 2,
        }
        for index, one in enumerate(curves)
    ]
    return {
        "title": title,
        "top": top,
        "bottom": top + HEIGHT,
        "right": LEFT + WIDTH,
        "lines": lines,
        "rows": [(y_of(most_y * n / TICKS), f"{most_y * n / TICKS:g}") for n in range(TICKS + 1)],
        "columns": [
            (x_of(most_x * n / TICKS), f"{most_x * n / TICKS:g}") for n in range(TICKS + 1)
        ],
    }


def _colour(number: int) -> str:
    return COLOURS[number // 2 % len(COLOURS)]


def _round_up(value: float) -> float:
    step = 10 ** (len(str(int(value))) - 1) / 2
    return float(-(-value // step) * step)
