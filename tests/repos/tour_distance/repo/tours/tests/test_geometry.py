import pytest

from tours.geometry import bounding_box, haversine


def test_known_distance():
    assert haversine(52.52, 13.405, 48.137, 11.575) == pytest.approx(504.4, abs=0.5)


def test_nothing():
    assert haversine(10, 10, 10, 10) == 0


def test_box():
    assert bounding_box([(1, 5), (3, 2)]) == (1, 2, 3, 5)
    with pytest.raises(ValueError):
        bounding_box([])
