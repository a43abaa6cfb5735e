"""What is spent, by several workers at once, and what ends at a budget."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agent.errors import BudgetUsedUp
from agent.journal.events import ModelTurned, SetupTried, now
from agent.model import Money, Turn, Usage
from app.llm.metered import GovernedModel, ShutdownGate
from app.operations.pruning import prune
from app.settings.schema import Settings
from app.spending.account import (
    Account,
    Payer,
    add,
    change_budget,
    keep_budget,
    read_spent,
    spent_in_month,
)
from app.spending.budgets import Spent, month_of
from app.spending.of_journal import cost_of
from app.storage.store import SqlStore
from app.storage.tables import notices

PRICES = {"slow": {"prompt": 10.0, "completion": 10.0}, "free": {}}
ONE, TWO = Payer("r1", 1, 7, "acme/shop"), Payer("r2", 2, 7, "acme/till")


class Slow:
    """A model whose every turn costs one euro."""

    name, window = "slow/model", 1000

    async def turn(self, messages: Any, tools: Any) -> Turn:
        await asyncio.sleep(0)
        return Turn(usage=Usage(prompt_tokens=60_000, completion_tokens=40_000))

    async def close(self) -> None:
        pass


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(state_dir=tmp_path, **{"currency": "EUR", "model_prices": PRICES, **more})


def model_of(store: SqlStore, wanted: Settings, payer: Payer = ONE, attempt: int = 1) -> Any:
    account = Account(store.database, wanted, payer)
    parts = (store.database, payer.run_id, 0, None, ShutdownGate(), attempt, 0.02)
    return GovernedModel(Slow(), *parts, account=account)  # type: ignore[arg-type]


def told(store: SqlStore) -> list[tuple[str, str, str]]:
    query = sa.select(notices.c.kind, notices.c.repository, notices.c.title)
    with store.database.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(query))


async def test_a_turn_costs_what_its_prices_were(store: SqlStore, tmp_path: Path) -> None:
    first = await model_of(store, settings(tmp_path)).turn([], [])
    dearer = {"slow": {"prompt": 20.0, "completion": 20.0}}
    second = await model_of(
        store, Settings(state_dir=tmp_path, currency="EUR", model_prices=dearer)
    ).turn([], [])
    turns = [ModelTurned.of(turn, 1.0) for turn in (first, second)]
    assert [turn.cost and turn.cost.amount for turn in turns] == [1.0, 2.0]
    repaired = SetupTried(
        attempt=0,
        number=1,
        why="",
        commands=(),
        ok=True,
        said="",
        cost=Money(amount=0.5, currency="EUR"),
    )
    assert cost_of([*turns, repaired]).told(5_000_000) == "3.50 / 5.00 EUR"
    unpriced = ModelTurned(usage=Usage(prompt_tokens=1))
    assert cost_of([*turns, unpriced]).told() == "≥ 3.00 EUR"
    assert cost_of([unpriced]).told() == ""
    assert read_spent(store.database, ONE, "EUR", now()).run == 3_000_000


async def test_nothing_is_counted_without_prices(store: SqlStore, tmp_path: Path) -> None:
    turn = await model_of(store, Settings(state_dir=tmp_path)).turn([], [])
    assert turn.cost is None
    other = settings(tmp_path, model_prices={"another": {"prompt": 1.0}})
    assert (await model_of(store, other).turn([], [])).cost is None
    assert Account(store.database, other, ONE).pay("offline (search)", Usage(), 1.0) == Money(
        amount=0.0, currency="EUR"
    )
    assert Account(store.database, settings(tmp_path), ONE).pay("free/x", Usage(), 1.0) == Money(
        amount=0.0, currency="EUR"
    )


async def test_a_runs_budget_ends_it_before_the_next_turn(store: SqlStore, tmp_path: Path) -> None:
    wanted = settings(tmp_path, cost_per_run=2.0, cost_per_run_most=4.0)
    keep_budget(store.database, "r1", 2_000_000, 0)
    model = model_of(store, wanted)
    await model.turn([], [])
    await model.turn([], [])
    with pytest.raises(BudgetUsedUp, match=r"the run's budget of 2\.00 EUR was used up"):
        await model.turn([], [])
    await model_of(store, wanted, TWO).turn([], [])
    # Another one, which holds at once; what it was given is kept when it begins again.
    change_budget(store.database, "r1", 3_000_000)
    keep_budget(store.database, "r1", 2_000_000, 40_000_000)
    await model.turn([], [])
    with pytest.raises(BudgetUsedUp, match=r"3\.00 EUR"):
        await model.turn([], [])
    # What the operator allows by now bounds it, too.
    change_budget(store.database, "r1", 4_000_000)
    lower = settings(tmp_path, cost_per_run=2.0, cost_per_run_most=2.5)
    with pytest.raises(BudgetUsedUp, match=r"2\.50 EUR"):
        await model_of(store, lower).turn([], [])


async def test_a_months_budget_is_overspent_by_one_turn_of_each_attempt_at_most(
    store: SqlStore, tmp_path: Path
) -> None:
    wanted = settings(tmp_path, organisation_cost_per_month=10.0, cost_per_month=1000.0)
    attempts = [model_of(store, wanted, Payer(f"r{n}", n, 7, f"acme/{n}")) for n in range(4)]

    async def work(model: Any) -> int:
        for turns in range(100):
            try:
                await model.turn([], [])
            except BudgetUsedUp:
                return turns
        raise AssertionError("no end")

    turns = sum(await asyncio.gather(*map(work, attempts)))
    assert 10 <= turns <= 10 + len(attempts)
    spent = read_spent(store.database, ONE, "EUR", now())
    assert spent.organisation == spent.all == turns * 1_000_000
    # Another organisation's runs go on.
    await model_of(store, wanted, Payer("s1", 9, 8, "other/x")).turn([], [])


async def test_people_are_told_once_for_each_month_and_budget(
    store: SqlStore, tmp_path: Path
) -> None:
    wanted = settings(tmp_path, repository_cost_per_month=5.0, cost_per_month=10.0)
    month = month_of(now())
    for payer in (ONE, TWO):
        for _ in range(4):
            Account(store.database, wanted, payer).pay("slow/m", Usage(prompt_tokens=100_000), 1.0)
    near = [
        ("near_budget", "", f"80 % of the 10.00 EUR of the installation for {month} are spent"),
        ("near_budget", "acme/shop", f"80 % of the 5.00 EUR of acme/shop for {month} are spent"),
        ("near_budget", "acme/till", f"80 % of the 5.00 EUR of acme/till for {month} are spent"),
    ]
    assert told(store) == near
    for _ in range(3):
        Account(store.database, wanted, ONE).pay("slow/m", Usage(prompt_tokens=100_000), 1.0)
    assert [row for row in told(store) if row not in near] == [
        ("over_budget", "", f"100 % of the 10.00 EUR of the installation for {month} are spent"),
        ("over_budget", "acme/shop", f"100 % of the 5.00 EUR of acme/shop for {month} are spent"),
    ]
    # They are kept longer than the month is long, or it would be told again on its 31st.
    prune(wanted, store.database, now() + timedelta(days=31))
    assert len(told(store)) == 5


def test_months_and_currencies_are_counted_apart(store: SqlStore) -> None:
    before = now().replace(day=1) - timedelta(days=1)
    for payer, amount, currency, at in (
        (ONE, 1.0, "EUR", before),
        (ONE, 2.0, "EUR", now()),
        (ONE, 4.0, "USD", now()),
        (TWO, 8.0, "EUR", now()),
    ):
        add(store.database, payer, Money(amount=amount, currency=currency), at)
    assert read_spent(store.database, ONE, "EUR", now()) == Spent(
        run=3_000_000, repository=2_000_000, organisation=10_000_000, all=10_000_000
    )
    rows = [(m.repository_id, m.amount) for m in spent_in_month(store.database, "EUR", now())]
    assert rows == [(2, 8_000_000), (1, 2_000_000)]
