"""What became of pull requests, and what a merged fix cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent.journal.events import now
from app.outcomes.rows import PullOutcome
from app.web.dashboard.efforts import AttemptEffort, Effort
from app.web.dashboard.merges import by_fixing_model, by_repository, whole
from app.web.dashboard.run_list import RunRow

AT = now()


def run(own: str, repository: str, closed: str = "") -> RunRow:
    return RunRow.model_validate(
        {
            "id": own,
            "repository": repository,
            "issue_number": 1,
            "title": "T",
            "status": "done",
            "outcome": "proven",
            "model": "cheap",
            "pull_request": "",
            "closed": closed,
            "events": 1,
            "created_at": AT,
            "updated_at": AT,
        }
    )


def took(chosen: int, *costs: float) -> Effort:
    """An attempt for each cost: with the cheap model, then with the dear one."""
    names = ("cheap", "dear")
    attempts = {
        n: AttemptEffort(names[n - 1], costs={"EUR": cost}) for n, cost in enumerate(costs, 1)
    }
    return Effort(attempts=attempts, costs={"EUR": sum(costs)}, chosen=chosen)


def became(own: str, kind: Any, hours: float = 0.0, reverted: str = "") -> PullOutcome:
    times = {"opened_at": AT, "ended_at": AT + timedelta(hours=hours)}
    return PullOutcome(run_id=own, kind=kind, reverted_by=reverted, **times)


KNOWN = [
    (run("a", "acme/shop", "merged"), took(1, 1.0)),
    (run("b", "acme/shop", "merged"), took(2, 1.0, 4.0)),
    (run("c", "acme/shop", "closed"), took(1, 2.0)),
    (run("d", "acme/till", "merged"), took(1, 8.0)),
    (run("e", "acme/till"), took(0, 16.0)),
    (run("f", "acme/till", ""), took(1, 0.5)),
]
OUTCOMES = {
    "a": became("a", "untouched", 2),
    "b": became("b", "edited", 4),
    "c": became("c", "closed", 1),
    "d": became("d", "untouched", 6, reverted="f" * 40),
    "f": became("f", "closed", 6),  # opened again since
}


def test_all_that_was_spent_counts_for_the_fixes_that_stayed() -> None:
    shop, till = by_repository(KNOWN, OUTCOMES, "EUR")
    assert (shop.name, shop.untouched, shop.edited, shop.closed, shop.reverted) == (
        "acme/shop",
        1,
        1,
        1,
        0,
    )
    assert (shop.hours, shop.cost, shop.cost_per_merged_fix) == (3.0, 8.0, 4.0)
    # Its one fix was reverted: there is none that the money was for.
    assert (till.all_merged, till.closed, till.reverted) == (1, 0, 1)
    assert (till.cost, till.cost_per_merged_fix) == (24.5, None)
    assert whole(KNOWN, OUTCOMES, "EUR").cost_per_merged_fix == 32.5 / 2


def test_a_model_has_the_fixes_whose_attempts_were_taken_and_the_cost_of_its_own() -> None:
    cheap, dear = by_fixing_model(KNOWN, OUTCOMES, "EUR")
    assert (cheap.name, cheap.all_merged, cheap.closed, cheap.cost) == ("cheap", 2, 1, 28.5)
    assert (dear.name, dear.edited, dear.cost, dear.cost_per_merged_fix) == ("dear", 1, 4.0, 4.0)


def test_without_prices_there_are_outcomes_and_no_money() -> None:
    shop, _ = by_repository(KNOWN, OUTCOMES, "")
    assert (shop.all_merged, shop.cost, shop.cost_per_merged_fix) == (2, None, None)
    assert whole([], {}, "EUR").all_merged == 0
