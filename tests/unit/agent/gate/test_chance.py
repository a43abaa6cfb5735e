"""The documented "less than 1 %" for proofs by luck, over every chance of a failure."""

from __future__ import annotations

import itertools
import math

import pytest

from agent.gate.chance import (
    MOST_RUNS,
    ONE_OF_TWENTY,
    OVERLOOKED,
    RUNS_IF_FLAKY,
    passes_needed,
    share,
    steady_runs,
)


def by_luck(chance: float, part: float) -> float:
    """The probability that a patch which changes nothing passes, added up over all outcomes."""

    def exactly(failed: int, runs: int) -> float:
        return math.comb(runs, failed) * chance**failed * (1 - chance) ** (runs - failed)

    steady = steady_runs(part)
    total = (chance * (1 - chance)) ** steady
    rest = RUNS_IF_FLAKY - steady
    for first in range(1, steady):
        for later in range(rest + 1):
            needed = passes_needed(RUNS_IF_FLAKY, first + later, part)
            if needed <= MOST_RUNS:
                seen = exactly(first, steady) * exactly(later, rest)
                total += seen * (1 - chance) ** needed
    return total


@pytest.mark.parametrize(
    "part", [share(1, 0), share(1, 1), share(2, 0), share(3, 4), share(1, 0, 1), share(1, 0, 2)]
)
def test_no_chance_of_failure_makes_luck_more_likely_than_a_trys_share(part: float) -> None:
    assert max(by_luck(p / 100, part) for p in range(1, 100)) <= part


def test_twenty_tries_that_do_not_know_of_one_another_stay_below_one_percent() -> None:
    worst = max(by_luck(p / 100, ONE_OF_TWENTY) for p in range(1, 100))
    assert 1 - (1 - worst) ** 20 < OVERLOOKED


def test_all_tries_of_all_attempts_together_take_no_more_than_the_whole() -> None:
    tries = itertools.product(range(1, 120), range(120), range(20))
    parts = sum(share(attempt, earlier, deaths) for attempt, earlier, deaths in tries)
    assert 0.99 * OVERLOOKED < parts <= OVERLOOKED


def test_a_bug_that_always_shows_itself_costs_few_runs_and_a_rare_one_is_not_proven() -> None:
    part = share(1, 0)
    assert steady_runs(part) == passes_needed(4, 4, part) == 4
    assert passes_needed(RUNS_IF_FLAKY, 10, part) < 15
    assert passes_needed(RUNS_IF_FLAKY, 2, part) > MOST_RUNS
