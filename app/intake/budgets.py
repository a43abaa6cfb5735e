"""`budget=` in a command: what a run may cost, as somebody asks."""

from __future__ import annotations

import asyncio

from app.github import commands
from app.intake.context import EventContext
from app.spending.account import change_budget
from app.spending.budgets import Budgets, asked_budget, millionths, money


def wanted_budget(context: EventContext, text: str) -> tuple[int, str]:
    """The budget that a command's words ask for, in millionths, and the other words.

    0: they ask for none. Raises `BadBudget`.
    """
    word, others = commands.asked_budget(text)
    if word is None:
        return 0, text
    settings = context.services.settings
    most = Budgets(run_most=millionths(context.config.costs.run_most))
    return asked_budget(word, most, settings.currency, priced=settings.counts_money), others


async def give_budget(context: EventContext, run_id: str, budget: int) -> str:
    """Give a run that is there this budget; returns what to say of it."""
    services = context.services
    await asyncio.to_thread(change_budget, services.store.database, run_id, budget)
    return f"The run may cost {money(budget, services.settings.currency)} in all now."
