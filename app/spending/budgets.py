"""Budgets in money: which is used up, which nearly, and what people are told. Pure decisions.

A month is a calendar month in UTC. Amounts are whole millionths of the currency, which add up
without rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent.model import Money

MILLION = 1_000_000
WARNED_AT = (80, 100)
"""Percent of a month's budget at which people are told."""

Scope = Literal["repository", "organisation", "all"]
_WHOSE: dict[Scope, str] = {
    "repository": "this repository's",
    "organisation": "this organisation's",
    "all": "the installation's",
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent so far: by one run in all, and within the month in each scope."""

    run: int = 0
    repository: int = 0
    organisation: int = 0
    all: int = 0


@dataclass(frozen=True, slots=True)
class Budgets:
    """What may be spent; 0: no limit. `run` in all, the others within a month."""

    run: int = 0
    repository: int = 0
    organisation: int = 0
    all: int = 0
    run_most: int = 0
    """What the run's may be raised to by a command; 0: to any amount."""

    @property
    def monthly(self) -> tuple[tuple[Scope, int], ...]:
        """Those of the month that are set, the narrowest first."""
        each: tuple[tuple[Scope, int], ...] = (
            ("repository", self.repository),
            ("organisation", self.organisation),
            ("all", self.all),
        )
        return tuple((scope, most) for scope, most in each if most)


def millionths(amount: float) -> int:
    """An amount as the tables keep it."""
    return round(amount * MILLION)


def money(amount: int, currency: str) -> Money:
    """An amount from the tables."""
    return Money(amount=amount / MILLION, currency=currency)


def used_up(spent: Spent, budgets: Budgets, currency: str, moment: datetime) -> str:
    """Which budget leaves nothing for another turn, to be read after "before"; empty: none.

    Others' amounts are not told: what is said may be read by everybody.
    """
    if budgets.run and spent.run >= budgets.run:
        more = ""
        if budgets.run_most > budgets.run:
            more = f"; `budget=` in a comment gives it up to {money(budgets.run_most, currency)}"
        return f"the run's budget of {money(budgets.run, currency)} was used up{more}"
    for scope, most in budgets.monthly:
        if getattr(spent, scope) >= most:
            return f"{_of_month(scope, most, currency, moment)} was used up"
    return ""


def why_none_begins(spent: Spent, budgets: Budgets, currency: str, moment: datetime) -> str:
    """Why no run begins now, with the time from which one may; empty: it may."""
    for scope, most in budgets.monthly:
        if getattr(spent, scope) >= most:
            told = _of_month(scope, most, currency, moment)
            return (
                f"{told[0].upper()}{told[1:]} is used up. Runs begin again on "
                f"{next_month(moment):%Y-%m-%d} at 0:00 UTC, or when that budget is raised; ask "
                "again then."
            )
    return ""


def _of_month(scope: Scope, most: int, currency: str, moment: datetime) -> str:
    amount = f" of {money(most, currency)}" if scope == "repository" else ""
    return f"{_WHOSE[scope]} budget{amount} for {moment:%Y-%m}"


def reached(spent: Spent, budgets: Budgets) -> Iterator[tuple[Scope, int]]:
    """The shares of a month's budgets, in percent, that people are told of once."""
    for scope, most in budgets.monthly:
        for share in WARNED_AT:
            if getattr(spent, scope) * 100 >= most * share:
                yield scope, share


def next_month(moment: datetime) -> datetime:
    """When the next month begins."""
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    december = first.month == 12
    return first.replace(year=first.year + december, month=1 if december else first.month + 1)


def month_of(moment: datetime) -> str:
    """The month, as the tables keep it."""
    return f"{moment:%Y-%m}"


class BadBudget(ValueError):
    """A budget that nobody can have; the message says why, for who asked."""


def asked_budget(word: str, budgets: Budgets, currency: str, *, priced: bool) -> int:
    """The budget that somebody asks for a run, in millionths. Raises `BadBudget`.

    `word` is what stands after `budget=`: an amount, with or without the currency.
    """
    if not priced:
        raise BadBudget(
            "No prices are set here, so a budget in money cannot be kept. Ask again without "
            "`budget=`, or have the operator set prices."
        )
    digits, letters = word.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), ""
    letters = word[len(digits) :]
    if letters and letters.upper() != currency:
        raise BadBudget(f"Budgets are in {currency} here: write `budget=5` or `budget=2.50`.")
    whole, dot, cents = digits.partition(".")
    digits_only = whole.isascii() and whole.isdecimal() and (not dot or cents.isdecimal())
    if not digits_only or len(digits) > 12 or not millionths(float(digits)):
        raise BadBudget(
            "What stands after `budget=` must be an amount above 0 with a decimal point, such as "
            f"`budget=5` or `budget=2.50` (in {currency})."
        )
    wanted = millionths(float(digits))
    if budgets.run_most and wanted > budgets.run_most:
        raise BadBudget(
            f"A run may cost {money(budgets.run_most, currency)} at most here; ask for that or "
            "less."
        )
    return wanted
