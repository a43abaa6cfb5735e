import pytest

from alerts.events import Event, worst
from alerts.routing import Router
from alerts.rules import Rule, first_match


def test_check_must_be_the_same():
    assert not Rule("disk").matches(Event("a", "load", "critical"))


def test_severity():
    rule = Rule("disk", minimum="warning")
    assert rule.matches(Event("a", "disk", "error"))
    assert not rule.severe(Event("a", "disk", "info"))


def test_hosts():
    assert Rule("disk", hosts="db-*").applies_to("db-1")
    assert not Rule("disk", hosts="db-*").applies_to("web-1")


def test_muted_and_unmuted():
    rule = Rule("disk", minimum="error")
    rule.mute("a")
    assert not rule.matches(Event("a", "disk", "info"))
    rule.unmute("a")
    assert rule.matches(Event("a", "disk", "error"))


def test_first_match():
    rules = [Rule("load"), Rule("disk"), Rule("disk", minimum="error")]
    assert first_match(rules, Event("a", "disk", "error")) is rules[1]


def test_router():
    router = Router(default="mail")
    router.add(Rule("disk"), "pager")
    assert router.send(Event("a", "disk", "error")) == "pager"
    assert router.send(Event("a", "load", "error")) == "mail"
    assert len(router.sent["pager"]) == 1


def test_worst():
    assert worst([Event("a", "x", "info"), Event("a", "x", "error")]) == "error"
    assert worst([]) is None
    with pytest.raises(ValueError):
        Event("a", "x", "fatal")
