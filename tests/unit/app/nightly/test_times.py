"""When nights begin: time zones, days of the week, changes of the clocks, and times that passed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.nightly.times import day_of, is_late, next_night
from app.repo_config.schema import Schedule


def schedule(at: str = "02:30", timezone: str = "Europe/Berlin", *days: str) -> Schedule:
    return Schedule.model_validate({"at": at, "timezone": timezone, "days": list(days)})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_off_unless_written() -> None:
    assert next_night(Schedule(), utc("2026-11-28T12:00")) is None


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-11-28T12:00", "2026-11-29T01:30"),
        ("2026-11-29T01:29:59", "2026-11-29T01:30"),
        ("2026-11-29T01:30", "2026-11-30T01:30"),  # it is strictly after
        ("2026-07-01T12:00", "2026-07-02T00:30"),
        # 02:30 is not there on 29 March 2026: as much later as the clocks are put forward.
        ("2026-03-28T12:00", "2026-03-29T01:30"),
        ("2026-03-29T01:30", "2026-03-30T00:30"),
        # 02:30 is there twice on 25 October 2026: the first time counts, once.
        ("2026-10-24T12:00", "2026-10-25T00:30"),
        ("2026-10-25T00:30", "2026-10-26T01:30"),
    ],
)
def test_one_night_for_each_day_of_the_calendar(after: str, due: str) -> None:
    assert next_night(schedule(), utc(after)) == utc(due)


def test_a_year_has_as_many_nights_as_days() -> None:
    moment, days = utc("2026-01-01T00:00"), []
    while (moment := next_night(schedule(), moment) or moment) < utc("2027-01-01T00:00"):
        days.append(day_of(schedule(), moment))
    assert len(days) == len(set(days)) == 365


def test_only_on_some_days_of_the_week_by_the_schedules_own_calendar() -> None:
    # 29 November 2026 is a Sunday; in Auckland it begins on Saturday by UTC.
    found = next_night(schedule("02:00", "Pacific/Auckland", "sun"), utc("2026-11-26T00:00"))
    assert found == utc("2026-11-28T13:00")
    assert day_of(schedule("02:00", "Pacific/Auckland"), found) == "2026-11-29"
    assert next_night(schedule("02:00", "UTC", "mon"), utc("2026-11-30T02:00")) == utc(
        "2026-12-07T02:00"
    )


def test_late_is_what_the_service_was_not_running_for() -> None:
    due = utc("2026-11-29T01:30")
    assert not is_late(due, utc("2026-11-29T02:00"))
    assert is_late(due, utc("2026-11-29T09:00"))
