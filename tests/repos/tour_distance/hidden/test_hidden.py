import pytest
from tours.geometry import haversine
from tours.stops import Stop, leg_km


@pytest.mark.parametrize(
    "a, b", [((52.52, 13.405), (48.137, 11.575)), ((48.85, 2.35), (40.71, -74.0)), ((-33.9, 18.4), (1.3, 103.8))]
)
def test_leg_is_haversine(a, b):
    got = leg_km(Stop("a", *a), Stop("b", *b))
    assert got == pytest.approx(haversine(*a, *b), abs=0.06)
    assert got == pytest.approx(leg_km(Stop("b", *b), Stop("a", *a)), abs=0.06)
