"""Budgets in money: which is used up, what is said, and what a command may ask for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.spending.budgets import (
    BadBudget,
    Budgets,
    Spent,
    asked_budget,
    millionths,
    next_month,
    reached,
    used_up,
    why_none_begins,
)

AT = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
M = 1_000_000


def test_the_first_budget_without_money_left_ends_a_run_and_others_amounts_stay_private() -> None:
    budgets = Budgets(run=5 * M, repository=50 * M, organisation=70 * M, all=90 * M, run_most=9 * M)
    assert used_up(Spent(run=5 * M - 1), budgets, "EUR", AT) == ""
    assert used_up(Spent(run=5 * M), budgets, "EUR", AT) == (
        "the run's budget of 5.00 EUR was used up; `budget=` in a comment gives it up to 9.00 EUR"
    )
    of_repository = used_up(Spent(repository=50 * M), budgets, "EUR", AT)
    assert of_repository == "this repository's budget of 50.00 EUR for 2026-12 was used up"
    of_others = used_up(Spent(organisation=70 * M, all=90 * M), budgets, "EUR", AT)
    assert of_others == "this organisation's budget for 2026-12 was used up"
    assert used_up(Spent(9 * M, 90 * M, 90 * M, 90 * M), Budgets(), "EUR", AT) == ""


def test_no_run_begins_before_the_next_month() -> None:
    said = why_none_begins(Spent(all=2 * M), Budgets(all=2 * M), "EUR", AT)
    assert said.startswith("The installation's budget for 2026-12 is used up. Runs begin again on")
    assert "2027-01-01 at 0:00 UTC" in said
    assert why_none_begins(Spent(all=2 * M - 1), Budgets(all=2 * M), "EUR", AT) == ""
    # A run's own budget keeps no other from beginning.
    assert why_none_begins(Spent(run=2 * M), Budgets(run=M), "EUR", AT) == ""
    assert next_month(AT.replace(month=2, day=28)).isoformat() == "2026-03-01T00:00:00+00:00"


def test_people_are_told_at_80_and_at_100_percent() -> None:
    budgets = Budgets(repository=10 * M, all=100 * M)
    assert list(reached(Spent(repository=8 * M - 1), budgets)) == []
    assert list(reached(Spent(repository=8 * M), budgets)) == [("repository", 80)]
    both = list(reached(Spent(repository=11 * M, all=80 * M), budgets))
    assert both == [("repository", 80), ("repository", 100), ("all", 80)]


@pytest.mark.parametrize(
    ("word", "amount"), [("5", 5.0), ("2.50", 2.5), ("5EUR", 5.0), ("0.01eur", 0.01)]
)
def test_a_budget_is_an_amount(word: str, amount: float) -> None:
    assert asked_budget(word, Budgets(run_most=5 * M), "EUR", priced=True) == millionths(amount)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", "must be an amount above 0"),
        ("0", "must be an amount above 0"),
        ("0.0000001", "must be an amount above 0"),
        ("-5", "must be an amount above 0"),
        ("5,50", "must be an amount above 0 with a decimal point"),
        ("1e5", "must be an amount above 0"),
        ("nan", "Budgets are in EUR here"),
        ("5.", "must be an amount above 0"),
        (".5", "must be an amount above 0"),
        ("٣", "must be an amount above 0"),
        ("9" * 40, "must be an amount above 0"),
        ("5USD", "Budgets are in EUR here"),
        ("5.01", "A run may cost 5.00 EUR at most here"),
    ],
)
def test_what_is_no_budget_is_said_in_words(word: str, said: str) -> None:
    with pytest.raises(BadBudget, match=said):
        asked_budget(word, Budgets(run_most=5 * M), "EUR", priced=True)


def test_without_prices_there_are_no_budgets() -> None:
    with pytest.raises(BadBudget, match="No prices are set here"):
        asked_budget("5", Budgets(), "", priced=False)
