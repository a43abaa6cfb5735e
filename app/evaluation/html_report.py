"""An evaluation's report as one HTML file: tables and plots, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.evaluation.report import AtK, Report
from agent.evaluation.statistics import Share
from app.evaluation.text_report import WORDS, efforts, mean_text, share_text, shares
from app.journal_view.html import environment

_PAGES = environment(Path(__file__).parent / "templates")

WIDTH, LEFT, RIGHT, BAR = 640, 130, 20, 34
TOP, HIGH = 10, 160


def report_page(report: Report) -> str:
    """The page; every text in it is escaped."""
    return _PAGES.get_template("evaluation.html").render(
        report=report,
        shares=[(name, WORDS[name], share_text(s), interval(s)) for name, s in shares(report)],
        efforts=efforts(report),
        bars=histogram([row.calls for row in report.verdicts.rows if row.status != "error"]),
        curves=curves(report.verdicts.at_k) if report.attempts > 1 else None,
        share_text=share_text,
        mean_text=mean_text,
        x_position=x_position,
        top=TOP,
        high=HIGH,
        width=WIDTH,
        left=LEFT,
        bar=BAR,
    )


def interval(share: Share) -> tuple[float, float, float]:
    """Positions in the plot, in pixels, of a share's lower bound, value and upper bound."""
    span = WIDTH - LEFT - RIGHT
    value = share.value if share.value is not None else 0.0
    low, middle, high = (round(LEFT + span * x, 1) for x in (share.low, value, share.high))
    return low, middle, high


def histogram(values: Sequence[int], bins: int = 12) -> list[tuple[str, int, float]]:
    """A histogram's bars: where each begins, its count, its height as a part of the highest."""
    if not values:
        return []
    step = max(1, -(-(max(values) + 1) // bins))
    counts = [0] * (max(values) // step + 1)
    for value in values:
        counts[value // step] += 1
    most = max(counts)
    return [(f"{i * step}", n, n / most) for i, n in enumerate(counts)]


def curves(points: Sequence[AtK]) -> list[tuple[str, str]]:
    """Two lines over k as (name, SVG points) in the plot's pixels."""
    return [
        ("pass@k", _line([p.passed.value for p in points])),
        ("gate-selected@k", _line([p.selected.value for p in points])),
    ]


def x_position(number: int, of: int) -> float:
    """Horizontal position of one of a number of points, in pixels."""
    return round(LEFT + (WIDTH - LEFT - RIGHT) * number / max(1, of - 1), 1)


def _line(values: Sequence[float]) -> str:
    return " ".join(
        f"{x_position(i, len(values))},{TOP + HIGH * (1 - value):.1f}"
        for i, value in enumerate(values)
    )
