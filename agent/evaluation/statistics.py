"""Intervals and tests for shares and paired results."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

from agent.model import Record

Z_95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""


class Share(Record):
    """So many of so many, with Wilson's interval at 95 %."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.count / self.of if self.of else None


def share(count: int, of: int, z: float = Z_95) -> Share:
    """A share with Wilson's score interval, which holds for few cases and near 0 and 1.

    E. B. Wilson, JASA 22 (1927). Of nothing the interval is 0 to 1. Raises `ValueError`.
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no share")
    if of == 0:
        return Share(count=0, of=0, low=0.0, high=1.0)
    p, square = count / of, z * z
    middle = (p + square / (2 * of)) / (1 + square / of)
    half = z / (1 + square / of) * math.sqrt(p * (1 - p) / of + square / (4 * of * of))
    # At the ends rounding would leave a trace of 1e-17 where the interval ends exactly.
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == of else min(1.0, middle + half)
    return Share(count=count, of=of, low=low, high=high)


class Mean(Record):
    """A mean over instances, with an interval at 95 %."""

    value: float
    low: float
    high: float


RESAMPLES = 2000


def mean(values: Sequence[float]) -> Mean:
    """The mean with its bootstrap percentile interval, the same each time for the same values.

    B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. Where all values
    are equal the interval has no width: with few instances it is too narrow. Raises `ValueError`
    for no values.
    """
    if not values:
        raise ValueError("a mean of nothing")
    chance = random.Random(0)  # noqa: S311 - resampling, no secret
    means = sorted(
        statistics.fmean(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    cut = round(RESAMPLES * 0.025)
    return Mean(value=statistics.fmean(values), low=means[cut], high=means[-cut - 1])


class Paired(Record):
    """Two results on the same cases, by McNemar's test in its exact (binomial) form."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float
    """Two-sided: how likely so uneven a split is if A and B are equally good."""


def compare_pairs(a: Sequence[bool], b: Sequence[bool]) -> Paired:
    """Compare results case by case. Raises `ValueError` when the lengths differ."""
    both = only_a = only_b = neither = 0
    for x, y in zip(a, b, strict=True):
        both += x and y
        only_a += x and not y
        only_b += y and not x
        neither += not x and not y
    return Paired(
        both=both, only_a=only_a, only_b=only_b, neither=neither, p=exact_sign_test(only_a, only_b)
    )


def exact_sign_test(a: int, b: int) -> float:
    """Two-sided exact binomial test of a against b at one half; 1.0 without any difference."""
    n = a + b
    tail: int = sum(math.comb(n, k) for k in range(min(a, b) + 1))
    return min(1.0, tail / (1 << n) * 2)


def pass_at_k(attempts: int, right: int, k: int) -> float:
    """Chance that at least one of k attempts is right, estimated without bias from n attempts.

    Chen et al., "Evaluating Large Language Models Trained on Code" (2021), equation 1. Raises
    `ValueError` unless 0 <= right <= attempts and 1 <= k <= attempts.
    """
    if not (0 <= right <= attempts and 1 <= k <= attempts):
        raise ValueError(f"pass@{k} cannot be said of {right} right of {attempts}")
    return 1.0 - math.comb(attempts - right, k) / math.comb(attempts, k)
