"""Plans: stops in order, and how long they take."""

from tours.stops import leg_km, nearest

SPEED_KMH = 60.0


def length_km(stops):
    return round(sum(leg_km(a, b) for a, b in zip(stops, stops[1:])), 1)


def duration_minutes(stops, speed=SPEED_KMH):
    """Driving and unloading time; the start is not unloaded."""
    driving = length_km(stops) / speed * 60
    return round(driving + sum(s.minutes for s in stops[1:]))


def greedy(start, stops):
    """Always to the nearest stop that is left."""
    route, left = [start], list(stops)
    while left:
        following = nearest(route[-1], left)
        left.remove(following)
        route.append(following)
    return route
