"""Stops of a tour."""

from dataclasses import dataclass

from tours.geometry import haversine


@dataclass(frozen=True)
class Stop:
    name: str
    lat: float
    lon: float
    minutes: int = 5

    def __post_init__(self):
        if not -90 <= self.lat <= 90 or not -180 <= self.lon <= 180:
            raise ValueError(f"{self.name}: no such place on earth")


def leg_km(start, end):
    """Distance between two stops in kilometres, one decimal."""
    return round(haversine(start.lat, start.lon, end.lon, end.lat), 1) if start != end else 0.0


def nearest(stop, others):
    """The closest of the other stops."""
    return min(others, key=lambda o: haversine(stop.lat, stop.lon, o.lat, o.lon))
