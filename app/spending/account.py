"""What a run, a proof or a check spends: asked before each turn of its model, noted after it.

All workers count in the same rows, so that budgets hold over all of them. Turns that are under way
when a budget is used up are not cut off: it is overspent by at most one turn of each attempt that
works then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from agent.errors import BudgetUsedUp
from agent.evaluation.cost import Prices, paid
from agent.journal.events import now
from agent.model import Money, Usage
from app.settings.costs import FREE, CostSettings
from app.spending.budgets import (
    MILLION,
    Budgets,
    Scope,
    Spent,
    millionths,
    money,
    month_of,
    reached,
    used_up,
)
from app.storage.notices import note_budget
from app.storage.records import Run
from app.storage.run_rows import dialect_insert
from app.storage.tables import run_budgets, spending
from app.telemetry import logs

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose money is spent."""

    run_id: str
    """A run's, a proof's or a check's."""
    repository_id: int
    installation_id: int
    """Stands for the organisation: an installation is one account's."""
    repository: str

    @classmethod
    def of(cls, run: Run) -> Payer:
        """A run."""
        return cls(run.id, run.repository_id, run.installation_id, run.repository)


@dataclass(frozen=True, slots=True)
class Account:
    """The money of one payer."""

    database: sa.Engine
    settings: CostSettings
    payer: Payer

    def check(self) -> None:
        """Raises `BudgetUsedUp` when no turn may begin. Blocks."""
        if not self.settings.counts_money:
            return
        budgets, moment = self.budgets(), now()
        if not budgets.run and not budgets.monthly:
            return
        spent = read_spent(self.database, self.payer, self.settings.currency, moment)
        if why := used_up(spent, budgets, self.settings.currency, moment):
            raise BudgetUsedUp(why)

    def pay(self, model: str, usage: Usage, model_s: float) -> Money | None:
        """Note what a turn cost, at today's prices; None: it has none. Blocks.

        `model` is its name in the journal. People are told once of a month's budget that is nearly
        or wholly used up by it.
        """
        prices = self._prices(model)
        if prices is None:
            return None
        cost, moment = paid(usage, model_s, prices, self.settings.currency), now()
        add(self.database, self.payer, cost, moment)
        budgets = self.budgets()
        if budgets.monthly:
            spent = read_spent(self.database, self.payer, cost.currency, moment)
            for scope, share in reached(spent, budgets):
                self._warn(scope, share, getattr(budgets, scope), moment)
        return cost

    def budgets(self) -> Budgets:
        """What may be spent now: the run's own, within what the operator's settings say."""
        query = sa.select(run_budgets).where(run_budgets.c.run_id == self.payer.run_id)
        with self.database.execution_options(read_only=True).connect() as connection:
            kept = connection.execute(query).one_or_none()
        whole = operators_budgets(self.settings)
        if kept is None:
            return whole
        return Budgets(
            run=least(kept.amount, whole.run_most),
            repository=least(kept.of_repository, whole.repository),
            organisation=whole.organisation,
            all=whole.all,
            run_most=whole.run_most,
        )

    def _prices(self, model: str) -> Prices | None:
        if not self.settings.counts_money:
            return None
        profile = model.partition("/")[0].partition(" ")[0]
        return self.settings.prices_of(profile) or (Prices() if profile == FREE else None)

    def _warn(self, scope: Scope, share: int, most: int, moment: datetime) -> None:
        payer, month = self.payer, month_of(moment)
        of = {
            "repository": (str(payer.repository_id), payer.repository),
            "organisation": (str(payer.installation_id), payer.repository.partition("/")[0]),
            "all": ("", "the installation"),
        }
        key, whose = of[scope]
        total = money(most, self.settings.currency)
        is_new = note_budget(
            self.database,
            dialect_insert(self.database),
            f"budget-{share}-{scope}-{key}-{month}",
            used_up=share >= 100,
            repository=payer.repository if scope == "repository" else "",
            title=f"{share} % of the {total} of {whose} for {month} are spent",
        )
        if is_new:
            _log.warning(
                "a month's budget", scope=scope, of=whose, percent=share, budget=str(total)
            )


def run_budget(database: sa.Engine, settings: CostSettings, run: Run) -> float:
    """What a run may cost; 0: there is no limit, or nothing has a price. Blocks."""
    if not settings.counts_money:
        return 0.0
    return Account(database, settings, Payer.of(run)).budgets().run / MILLION


def operators_budgets(settings: CostSettings) -> Budgets:
    """The budgets of the operator's settings."""
    return Budgets(
        run=millionths(settings.cost_per_run or settings.cost_per_run_most),
        repository=millionths(settings.repository_cost_per_month),
        organisation=millionths(settings.organisation_cost_per_month),
        all=millionths(settings.cost_per_month),
        run_most=millionths(settings.cost_per_run_most or settings.cost_per_run),
    )


def least(*amounts: int) -> int:
    """The smallest of those that are set; 0: none is."""
    return min((amount for amount in amounts if amount), default=0)


def add(database: sa.Engine, payer: Payer, cost: Money, moment: datetime) -> None:
    """A turn cost so much. Blocks."""
    amount = millionths(cost.amount)
    row = dialect_insert(database)(spending).values(
        run_id=payer.run_id,
        month=month_of(moment),
        currency=cost.currency,
        repository_id=payer.repository_id,
        installation_id=payer.installation_id,
        amount=amount,
        turns=1,
    )
    more = {"amount": spending.c.amount + amount, "turns": spending.c.turns + 1}
    with database.execution_options(quick=True).begin() as connection:
        connection.execute(
            row.on_conflict_do_update(index_elements=["run_id", "month", "currency"], set_=more)
        )


def read_spent(database: sa.Engine, payer: Payer, currency: str, moment: datetime) -> Spent:
    """What was spent so far in this currency. Blocks."""
    own, amount = spending.c, spending.c.amount

    def within(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, amount), else_=0)), 0)

    of_month = sa.select(
        within(own.repository_id == payer.repository_id),
        within(own.installation_id == payer.installation_id),
        within(sa.true()),
    ).where(own.month == month_of(moment), own.currency == currency)
    of_run = sa.select(within(sa.true())).where(
        own.run_id == payer.run_id, own.currency == currency
    )
    with database.execution_options(read_only=True).connect() as connection:
        repository, organisation, whole = connection.execute(of_month).one()
        run = connection.execute(of_run).scalar_one()
    return Spent(int(run), int(repository), int(organisation), int(whole))


def keep_budget(database: sa.Engine, run_id: str, amount: int, of_repository: int) -> None:
    """Keep what a run may cost, unless it was given a budget, and what its repository may. Blocks.

    `of_repository` is what the repository's settings say of a month; 0: nothing.
    """
    row = dialect_insert(database)(run_budgets).values(
        run_id=run_id, amount=amount, of_repository=of_repository
    )
    with database.begin() as connection:
        connection.execute(
            row.on_conflict_do_update(
                index_elements=["run_id"], set_={"of_repository": of_repository}
            )
        )


def change_budget(database: sa.Engine, run_id: str, amount: int) -> None:
    """Give a run another budget. Blocks."""
    row = dialect_insert(database)(run_budgets).values(
        run_id=run_id, amount=amount, of_repository=0
    )
    with database.begin() as connection:
        connection.execute(
            row.on_conflict_do_update(index_elements=["run_id"], set_={"amount": amount})
        )


@dataclass(frozen=True, slots=True)
class MonthOfRepository:
    """What one repository's runs, proofs and checks cost in a month."""

    repository_id: int
    installation_id: int
    amount: int


def spent_in_month(
    database: sa.Engine, currency: str, moment: datetime
) -> tuple[MonthOfRepository, ...]:
    """What the repositories spent in this month, those with most first. Blocks."""
    own = spending.c
    amount = sa.func.sum(own.amount)
    query = (
        sa.select(own.repository_id, sa.func.max(own.installation_id), amount)
        .where(own.month == month_of(moment), own.currency == currency)
        .group_by(own.repository_id)
        .order_by(amount.desc(), own.repository_id)
    )
    with database.execution_options(read_only=True).connect() as connection:
        rows = connection.execute(query).all()
    return tuple(MonthOfRepository(each, account, int(sum_)) for each, account, sum_ in rows)
