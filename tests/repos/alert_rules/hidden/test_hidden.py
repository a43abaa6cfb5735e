import itertools

from alerts.events import SEVERITIES, Event
from alerts.rules import Rule


def test_all_conditions_must_hold():
    for severity, host, minimum in itertools.product(SEVERITIES, ["db-1", "db-2", "web"], SEVERITIES):
        rule = Rule("disk", minimum=minimum, hosts="db-*", muted={"db-1"})
        wanted = host == "db-2" and SEVERITIES.index(severity) >= SEVERITIES.index(minimum)
        assert rule.matches(Event(host, "disk", severity)) is wanted
