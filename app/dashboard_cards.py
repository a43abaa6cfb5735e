"""The cards of a run, on its page and in its exported trace: what its head gives to print. Pure."""

from __future__ import annotations

from app.journal_view.cards import lines
from app.journal_view.summary import STAGES, Head

TESTS_SHOWN = 100


def card_values(
    head: Head, *, where: str = "", budget_calls: int = 0, budget_tokens: int = 0
) -> dict[str, object]:
    """What `cards.html` and `head.html` print.

    `where` is the address of the run's page; empty: the journal stands on the same page. Budgets
    of nought are not shown.
    """
    read = [float(p.prompt) for p in head.points]
    cached = [float(p.cached) for p in head.points]
    tests = head.tests()
    return {
        "head": head,
        "lines": lines([("read", read), ("cached", cached)]),
        "most_read": max(read, default=0),
        "tests": tests[:TESTS_SHOWN],
        "more_tests": max(len(tests) - TESTS_SHOWN, 0),
        "stages": STAGES,
        "where": where,
        "budget_calls": budget_calls,
        "budget_tokens": budget_tokens,
    }
