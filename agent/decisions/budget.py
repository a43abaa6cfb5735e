"""What is left of an attempt's budget, and which limit ended it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agent.journal.state import AttemptState
from agent.task import Budget


def exhausted(state: AttemptState, budget: Budget, elapsed_s: float) -> str:
    """Why the attempt must end now, or an empty string."""
    if state.calls_used >= budget.calls:
        return f"the budget of {budget.calls} tool calls is used up"
    if elapsed_s >= budget.wall_s:
        return f"the time limit of {span(budget.wall_s)} is reached"
    tokens = state.usage.prompt_tokens + state.usage.completion_tokens
    if tokens >= budget.tokens:
        return f"the budget of {budget.tokens:,} tokens is used up"
    return ""


FEWEST_MEASURED = 10
"""Proven attempts below which their tokens say nothing of the next one's."""
SPARE = 2.0


def tokens_by_usage(measured: Sequence[int], most: int) -> int:
    """Tokens for one attempt by what proven ones took: twice the 90th percentile, `most` at most.

    `most` as long as too few were measured.
    """
    if len(measured) < FEWEST_MEASURED:
        return most
    at = math.ceil(0.9 * len(measured)) - 1
    return min(most, int(SPARE * sorted(measured)[at]))


def span(seconds: float) -> str:
    """A length of time in words: never "0 minutes", and no more digits than it needs."""
    for unit, size in (("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            count = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{count} {unit}{'' if count == '1' else 's'}"
    count = f"{seconds:.0f}" if seconds >= 1 else f"{seconds:.2g}"
    return f"{count} second{'' if count == '1' else 's'}"


def refusal(state: AttemptState, budget: Budget, tool: str, elapsed_s: float = 0.0) -> str:
    """Why this tool may not run now, or an empty string.

    A hypothesis that used up its calls must be resolved before anything else runs. One turn may
    hold more calls than are left.
    """
    if reason := exhausted(state, budget, elapsed_s):
        return f"refused: {reason}."
    under_test = state.under_test
    if under_test is None or tool in ("hypothesis", "submit"):
        return ""
    if under_test.calls_used < budget.calls_per_hypothesis:
        return ""
    return (
        f"refused: {under_test.id} has used its {budget.calls_per_hypothesis} calls. "
        "Confirm or refute it with the hypothesis tool, naming the evidence you have."
    )


def remaining(state: AttemptState, budget: Budget) -> str:
    """The line under every tool result that tells the model what is left after this call."""
    left = max(0, budget.calls - state.calls_used - 1)
    line = f"[{left} of {budget.calls} calls left"
    under_test = state.under_test
    if under_test is not None:
        own = max(0, budget.calls_per_hypothesis - under_test.calls_used - 1)
        line += f"; {under_test.id}: {own} of {budget.calls_per_hypothesis}"
    return line + "]"
