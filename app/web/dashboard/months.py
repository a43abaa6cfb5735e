"""What was spent in this month, beside the budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app.settings.schema import Settings
from app.spending.account import MonthOfRepository, operators_budgets, spent_in_month
from app.spending.budgets import MILLION, Budgets
from app.storage.tables import runs

MOST_SHOWN = 50
"""Repositories, those that spent most."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What somebody spent in the month, in the currency of the settings."""

    name: str
    amount: float
    budget: float
    """0: there is none."""

    @property
    def level(self) -> str:
        """How near the budget is, for the look: empty, `near`, `over`."""
        if not self.budget or self.amount < 0.8 * self.budget:
            return ""
        return "over" if self.amount >= self.budget else "near"


@dataclass(frozen=True, slots=True)
class Month:
    """A month's spending, the widest scope first."""

    name: str
    currency: str
    rows: tuple[Spending, ...]


def read_month(
    database: sa.Engine, settings: Settings, moment: datetime, readable: Sequence[int] | None
) -> Month | None:
    """This month; None where nothing has a price. Blocks.

    `readable`: the repositories that the visitor may see; None: all, and the sums over them.
    """
    if not settings.counts_money:
        return None
    found = spent_in_month(database, settings.currency, moment)
    names = _names(database, [one.repository_id for one in found])
    shown = [one for one in found if readable is None or one.repository_id in readable]
    budgets = operators_budgets(settings)
    rows = [
        Spending(
            names.get(one.repository_id, "gone"), one.amount / MILLION, budgets.repository / MILLION
        )
        for one in shown[:MOST_SHOWN]
    ]
    if readable is None:
        rows = [*_sums(found, names, budgets), *rows]
    return Month(f"{moment:%Y-%m}", settings.currency, tuple(rows))


def _sums(
    found: Sequence[MonthOfRepository], names: dict[int, str], budgets: Budgets
) -> list[Spending]:
    everything = sum(one.amount for one in found) / MILLION
    rows = [Spending("all together", everything, budgets.all / MILLION)]
    accounts: dict[int, tuple[str, int]] = {}
    for one in found:
        owner = names.get(one.repository_id, "gone").partition("/")[0]
        _, before = accounts.get(one.installation_id, ("", 0))
        accounts[one.installation_id] = (owner, before + one.amount)
    if len(accounts) > 1 or budgets.organisation:
        rows += [
            Spending(owner, amount / MILLION, budgets.organisation / MILLION)
            for owner, amount in sorted(accounts.values(), key=lambda row: -row[1])
        ]
    return rows


def _names(database: sa.Engine, ids: Sequence[int]) -> dict[int, str]:
    query = (
        sa.select(runs.c.repository_id, sa.func.max(runs.c.repository))
        .where(runs.c.repository_id.in_(ids))
        .group_by(runs.c.repository_id)
    )
    with database.execution_options(read_only=True).connect() as connection:
        return {number: str(name) for number, name in connection.execute(query)}
