"""Intervals, paired tests and pass@k, against published values and plain enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.evaluation.statistics import compare_pairs, exact_sign_test, mean, pass_at_k, share


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3 (Wilson).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(count: int, of: int, low: float, high: float) -> None:
    found = share(count, of)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_interval_holds_its_share_and_stays_within_0_and_1(a: int, b: int) -> None:
    found = share(min(a, b), max(a, b))
    assert 0 <= found.low <= found.high <= 1
    if found.value is not None:
        assert found.low <= found.value <= found.high


def test_a_share_of_nothing_has_no_value() -> None:
    assert share(0, 0).value is None
    assert (share(0, 0).low, share(0, 0).high) == (0, 1)
    with pytest.raises(ValueError, match="5 of 4"):
        share(5, 4)


def test_a_mean_has_about_the_interval_of_the_normal_distribution() -> None:
    found = mean([0.0] * 50 + [1.0] * 50)
    assert found.value == 0.5
    assert (found.low, found.high) == pytest.approx(
        (0.5 - 1.96 * 0.05, 0.5 + 1.96 * 0.05), abs=0.02
    )
    assert mean([0.0] * 50 + [1.0] * 50) == found
    assert mean([0.25, 0.25]).low == mean([0.25, 0.25]).high == 0.25
    with pytest.raises(ValueError):
        mean([])


@given(st.integers(0, 12), st.integers(0, 12))
def test_the_paired_test_is_the_enumerated_binomial(a: int, b: int) -> None:
    n = a + b
    at_least_as_uneven = sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(a - b))
    assert exact_sign_test(a, b) == pytest.approx(at_least_as_uneven / 2**n)


def test_pairs_are_counted_by_who_is_right() -> None:
    found = compare_pairs([True, True, True, False, False], [True, False, False, True, False])
    assert (found.both, found.only_a, found.only_b, found.neither) == (1, 2, 1, 1)
    assert found.p == 1.0
    assert compare_pairs([True] * 6, [False] * 6).p == pytest.approx(2 / 64)
    with pytest.raises(ValueError):
        compare_pairs([True], [])


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_is_the_share_of_choices_with_a_right_one(case: tuple[int, int]) -> None:
    n, right = case
    for k in range(1, n + 1):
        picks = list(itertools.combinations(range(n), k))
        with_right = sum(any(i < right for i in pick) for pick in picks)
        assert pass_at_k(n, right, k) == pytest.approx(with_right / len(picks))


def test_pass_at_k_refuses_more_attempts_than_there_were() -> None:
    with pytest.raises(ValueError, match="pass@4"):
        pass_at_k(3, 1, 4)
