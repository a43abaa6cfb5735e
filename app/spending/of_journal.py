"""What a run cost, as a fold of its journal: each turn at the prices of its moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.journal.events import AnyEvent, ModelTurned, SetupTried
from agent.model import Money
from app.spending.budgets import money


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run cost so far."""

    amounts: tuple[Money, ...] = ()
    """One for each currency that its prices were in; none: no turn had a price."""
    unpriced: int = 0
    """Turns that had none though they used tokens."""

    def told(self, budget: int = 0) -> str:
        """For people, with the budget in millionths (0: none); empty: nothing had a price."""
        if not self.amounts:
            return ""
        *others, last = self.amounts
        about = "≥ " if self.unpriced else ""
        most = f" / {money(budget, last.currency).figure}" if budget else ""
        return " + ".join((*map(str, others), f"{about}{last.figure}{most} {last.currency}"))


def cost_of(events: Iterable[AnyEvent]) -> RunCost:
    """The cost of the turns among these events."""
    sums: dict[str, float] = {}
    unpriced = 0
    for event in events:
        if not isinstance(event, ModelTurned | SetupTried):
            continue
        if event.cost is None:
            unpriced += bool(event.usage.prompt_tokens)
        else:
            before = sums.get(event.cost.currency, 0.0)
            sums[event.cost.currency] = before + event.cost.amount
    amounts = tuple(Money(amount=amount, currency=name) for name, amount in sums.items())
    return RunCost(amounts, unpriced)
