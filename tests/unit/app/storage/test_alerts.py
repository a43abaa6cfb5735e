"""How often an alert's issue is written: storms, days, fixes, and deliveries that come twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.github.webhook_events import AlertDue
from app.settings.schema import Settings
from app.storage import alerts as module
from app.storage.alerts import Alerts, EditLimits, KeptAlert, Occurrence, TooManyAlerts, next_edit
from app.storage.inbox import Inbox
from app.storage.store import SqlStore

LIMITS = EditLimits(issues_per_day=3, edits_per_day=4, minutes=15)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class World:
    """Alerts in a database, with a clock."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = SqlStore(url)
        self.alerts = Alerts(self.store.database)
        self.inbox = Inbox(self.store.database)
        self.moment = NOON
        self.sent = 0
        monkeypatch.setattr(module, "now", lambda: self.moment)

    def come(self, fingerprint: str = "f", **more: Any) -> list[str] | None:
        self.sent += 1
        told = {"repository": "acme/shop", "title": "T", "report": "{}"} | more
        delivery = told.pop("delivery", f"{self.sent:064}")
        occurrence = Occurrence(fingerprint=fingerprint, **told)
        taken = self.alerts.take("sentry", delivery, [occurrence], LIMITS)
        return None if taken is None else list(taken.due)

    def later(self, **time: float) -> None:
        self.moment += timedelta(**time)

    def only(self) -> KeptAlert:
        [found] = self.alerts.newest(limit=10)
        return found

    def written(self) -> None:
        """As if the issue was opened."""
        self.alerts.placed(self.only().id, 7, 11)
        self.alerts.opened(self.only().id, 3)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(Settings(state_dir=tmp_path).database, monkeypatch)


def test_an_alert_is_kept_and_its_issue_asked_for(world: World) -> None:
    due = world.come()
    assert due is not None
    event = world.inbox.get(due[0])
    assert isinstance(event, AlertDue)
    assert (event.repository, event.alert_id) == ("acme/shop", world.only().id)
    assert (world.only().state, world.only().seen) == ("waiting", 1)
    world.written()
    assert (world.only().state, world.only().issue_number) == ("open", 3)
    assert world.alerts.of_issue(7, 3) == world.only()


def test_the_same_delivery_again_is_nothing(world: World) -> None:
    assert world.come(delivery="d")
    assert world.come(delivery="d") is None
    assert world.only().seen == 1


def test_a_storm_is_counted_and_told_now_and_then(world: World) -> None:
    due = sum(len(world.come() or ()) for _ in range(500))
    assert due == 1
    assert world.only().seen == 500
    assert world.alerts.queue_due() == 0
    world.later(minutes=15)
    assert world.alerts.queue_due() == 1  # what came in between, though nothing comes any more
    assert world.alerts.queue_due() == 0
    assert len(world.inbox.open_events()) == 2


def test_a_day_has_only_so_many_edits(world: World) -> None:
    due = 0
    for _ in range(300):
        due += len(world.come() or ())
        due += world.alerts.queue_due()
        world.later(minutes=2)
    assert world.moment.day == NOON.day
    assert due == LIMITS.edits_per_day
    world.later(hours=3)
    assert world.alerts.queue_due() == 1
    assert (world.only().day, world.only().edits) == ("2026-11-21", 1)


def test_a_repository_gets_only_so_many_issues_a_day(world: World) -> None:
    due = [len(world.come(f"f{number}") or ()) for number in range(10)]
    assert sum(due) == LIMITS.issues_per_day
    states = [each.state for each in world.alerts.newest(limit=20)]
    assert (states.count("waiting"), states.count("limited")) == (3, 7)
    assert not world.come("f9")
    world.later(days=1)
    assert world.come("f9")
    assert world.come("g", repository="acme/other")


def test_a_source_brings_only_so_many_new_alerts_a_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NEW", 5)
    for number in range(5):
        world.come(f"f{number}")
    with pytest.raises(TooManyAlerts):
        world.come("f5")
    world.come("f4")
    world.later(days=1, minutes=1)
    world.come("f5")


def test_of_a_delivery_beyond_the_limit_what_is_known_is_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NEW", 2)
    world.come("over")
    world.written()
    world.come("known")
    group = [
        Occurrence("new", "acme/shop", "T", "{}"),
        Occurrence("known", "acme/shop", "T", "{}"),
        Occurrence("over", "acme/shop", "T", "{}", is_over=True),
        Occurrence("new 2", "acme/shop", "T", "{}"),
    ]
    taken = world.alerts.take("sentry", "group", group, LIMITS)
    assert taken is not None
    assert (len(taken.due), taken.beyond) == (1, 2)  # that it is over is news
    seen = {each.state: each.seen for each in world.alerts.newest(limit=9)}
    assert seen == {"resolved": 1, "waiting": 2}
    with pytest.raises(TooManyAlerts):
        world.alerts.take("sentry", "group 2", group[:1], LIMITS)
    world.later(days=1, minutes=1)
    again = world.alerts.take("sentry", "group", group, LIMITS)
    assert again is not None and again.beyond == 0
    assert len(world.alerts.newest(limit=9)) == 4
    assert world.alerts.take("sentry", "group", group, LIMITS) is None


def test_what_has_no_issue_is_kept_without_what_it_said(world: World) -> None:
    for number in range(LIMITS.issues_per_day + 1):
        world.come(f"f{number}", report='{"title": "T"}')
        world.later(minutes=1)
    world.come("g", repository="", report='{"title": "T"}')
    reports = [(each.state, each.report) for each in world.alerts.newest(limit=9)]
    assert reports[:2] == [("unrouted", ""), ("limited", "")]
    assert set(reports[2:]) == {("waiting", '{"title": "T"}')}
    world.later(days=1)
    assert world.come(f"f{LIMITS.issues_per_day}", report='{"title": "T"}')
    assert world.alerts.newest(limit=1)[0].report == '{"title": "T"}'


def test_what_ends_is_told_and_what_nobody_heard_of_is_not(world: World) -> None:
    assert world.come(is_over=True) == []
    assert world.alerts.newest(limit=10) == []
    world.come()
    world.written()
    assert world.come(is_over=True)  # at once: it is news
    assert world.only().state == "resolved"
    assert not world.come(is_over=True)
    assert world.come()
    assert world.only().state == "open"


def test_what_was_fixed_comes_on_until_it_is_deployed(world: World) -> None:
    world.come(release="1.4.1")
    world.come(release="1.4.2")
    world.come(release="shop  2\n(beta)")
    world.written()
    world.alerts.settle(world.only().id, "fixed")
    world.later(days=1)
    world.come(release="1.4.2")
    world.come(release="shop  2\n(beta)")
    world.come()
    assert world.only().state == "fixed"
    assert world.come(release="1.4.3")
    assert world.only().state == "open"
    world.alerts.settle(world.only().id, "fixed")
    assert world.come(is_regression=True, is_urgent=True)
    assert world.only().state == "open"


def test_what_was_fixed_and_over_and_fires_again_is_there_again(world: World) -> None:
    world.come()
    world.written()
    world.alerts.settle(world.only().id, "fixed")
    world.come()
    assert world.only().state == "fixed"
    world.come(is_over=True)  # whoever resolved it: it says nothing about the program
    world.come()
    assert (world.only().state, world.only().came_back) == ("fixed", False)
    assert world.come(is_over=True, is_measured=True)
    assert world.only().state == "gone"
    assert not world.come(is_over=True, is_measured=True)
    assert world.only().state == "gone"
    assert world.come()
    assert (world.only().state, world.only().came_back) == ("open", True)


def test_what_leads_nowhere_is_kept_and_nothing_more(world: World) -> None:
    assert world.come(repository="") == []
    assert world.only().state == "unrouted"
    world.later(days=1)
    assert world.alerts.queue_due() == 0


def test_when_the_next_edit_is() -> None:
    kept = KeptAlert(
        id="a",
        source="s",
        repository="a/b",
        repository_id=0,
        title="",
        report="",
        state="open",
        reason="",
        issue_number=1,
        seen=1,
        created_at=NOON,
        seen_at=NOON,
    )
    later = NOON + timedelta(minutes=5)
    assert next_edit(kept, LIMITS, later, urgent=False) == later
    kept = kept.model_copy(update={"written_at": NOON, "day": "2026-11-20", "edits": 1})
    assert next_edit(kept, LIMITS, later, urgent=False) == NOON + timedelta(minutes=15)
    assert next_edit(kept, LIMITS, later, urgent=True) == later
    kept = kept.model_copy(update={"edits": LIMITS.edits_per_day})
    assert next_edit(kept, LIMITS, later, urgent=True) == datetime(2026, 11, 21, tzinfo=UTC)
