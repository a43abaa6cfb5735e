import pytest

from tours.plan import duration_minutes, greedy, length_km
from tours.stops import Stop, leg_km, nearest

A = Stop("a", 0.0, 0.0)
B = Stop("b", 1.0, 1.0)
C = Stop("c", 2.0, 2.0)


def test_leg():
    assert leg_km(A, A) == 0.0
    assert leg_km(A, B) == pytest.approx(157.2, abs=0.1)


def test_nearest():
    assert nearest(A, [C, B]) == B


def test_length():
    assert length_km([A, B, C]) == pytest.approx(314.4, abs=0.3)
    assert length_km([A]) == 0


def test_duration():
    assert duration_minutes([A, B]) == 162


def test_greedy():
    assert greedy(A, [C, B]) == [A, B, C]


def test_bad_stop():
    with pytest.raises(ValueError):
        Stop("x", 91, 0)
