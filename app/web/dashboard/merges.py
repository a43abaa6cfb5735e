"""What became of pull requests, and what a merged fix cost: by repository and by model."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.outcomes.rows import PullOutcome
from app.web.dashboard.efforts import Effort
from app.web.dashboard.run_list import RunRow

Known = Sequence[tuple[RunRow, Effort]]
Share = tuple[str, float | None, bool]
"""A group that a run counts for, what it cost there, and whether its fix counts there, too."""


@dataclass(frozen=True, slots=True)
class MergeFigures:
    """What became of the pull requests of one repository, or of one model's fixes."""

    name: str
    untouched: int = 0
    edited: int = 0
    merged: int = 0
    """Whether with edits or without is not known."""
    closed: int = 0
    reverted: int = 0
    """Of those that were merged."""
    hours: float | None = None
    """Median from the opening of those that were merged to the merge; None: none was."""
    cost: float | None = None
    """Of all runs, whatever came of them; None: none had a price."""

    @property
    def all_merged(self) -> int:
        """Those that were merged, with edits or without."""
        return self.untouched + self.edited + self.merged

    @property
    def cost_per_merged_fix(self) -> float | None:
        """All that was spent, over the fixes that were merged and not reverted."""
        kept = self.all_merged - self.reverted
        return self.cost / kept if kept > 0 and self.cost is not None else None


def by_repository(
    known: Known, outcomes: Mapping[str, PullOutcome], currency: str
) -> tuple[MergeFigures, ...]:
    """Per repository what became of its pull requests; those with most merged first."""

    def shares(row: RunRow, effort: Effort) -> Iterable[Share]:
        yield row.repository, effort.costs.get(currency), True

    return _grouped(known, outcomes, shares)


def by_fixing_model(
    known: Known, outcomes: Mapping[str, PullOutcome], currency: str
) -> tuple[MergeFigures, ...]:
    """Per model the same: a fix is whose attempt was taken, and costs are each model's own."""

    def shares(row: RunRow, effort: Effort) -> Iterable[Share]:
        for number, attempt in effort.attempts.items():
            yield attempt.model, attempt.costs.get(currency), number == effort.chosen

    return _grouped(known, outcomes, shares)


def whole(known: Known, outcomes: Mapping[str, PullOutcome], currency: str) -> MergeFigures:
    """The same over all runs."""

    def shares(_row: RunRow, effort: Effort) -> Iterable[Share]:
        yield "all", effort.costs.get(currency), True

    found = _grouped(known, outcomes, shares)
    return found[0] if found else MergeFigures("all")


def _grouped(
    known: Known,
    outcomes: Mapping[str, PullOutcome],
    shares: Callable[[RunRow, Effort], Iterable[Share]],
) -> tuple[MergeFigures, ...]:
    costs: dict[str, float] = {}
    ended: dict[str, list[PullOutcome]] = {}
    for row, effort in known:
        outcome = outcomes.get(row.id)
        for name, cost, is_fix in shares(row, effort):
            group = ended.setdefault(name, [])
            if cost is not None:
                costs[name] = costs.get(name, 0.0) + cost
            # One that was opened again counts by what became of it then.
            if outcome is not None and is_fix and outcome.kind and row.closed:
                group.append(outcome)
    found = [_figures(name, group, costs.get(name)) for name, group in ended.items()]
    return tuple(sorted(found, key=lambda one: (-one.all_merged, -one.closed, one.name)))


def _figures(name: str, ended: Sequence[PullOutcome], cost: float | None) -> MergeFigures:
    kinds = Counter(outcome.kind for outcome in ended)
    merged = [outcome for outcome in ended if outcome.is_merged]
    hours = [outcome.hours for outcome in merged if outcome.hours is not None]
    return MergeFigures(
        name=name,
        untouched=kinds["untouched"],
        edited=kinds["edited"],
        merged=kinds["merged"],
        closed=kinds["closed"],
        reverted=sum(bool(outcome.reverted_by) for outcome in merged),
        hours=float(statistics.median(hours)) if hours else None,
        cost=cost,
    )
