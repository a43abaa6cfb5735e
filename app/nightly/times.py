"""When a schedule's next night begins. Pure: the moment is given."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.repo_config.schema import WEEKDAYS, Schedule

LATE = timedelta(hours=1)
"""A night that begins so much later than its time is said to be late."""


def next_night(schedule: Schedule, after: datetime) -> datetime | None:
    """The first moment after this one at which a night is due, in UTC; None: never.

    There is one for each day of the calendar, whatever the clocks do: a time that the change to
    summer time leaves out comes as much later as the clocks are put forward, and one that is there
    twice counts the first time.
    """
    if not schedule.at:
        return None
    hour, minute = map(int, schedule.at.split(":"))
    zone = ZoneInfo(schedule.timezone)
    today = after.astimezone(zone).date()
    for days in range(-1, 9):
        day = today + timedelta(days=days)
        if schedule.days and WEEKDAYS[day.weekday()] not in schedule.days:
            continue
        # `fold=0`: before the change, of the two readings that a time may have.
        due = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
        if due > after:
            return due
    return None


def day_of(schedule: Schedule, due: datetime) -> str:
    """The day of the calendar that a night counts for, such as `2026-11-28`."""
    return due.astimezone(ZoneInfo(schedule.timezone)).date().isoformat()


def is_late(due: datetime, begun: datetime) -> bool:
    """Whether a night began long after its time: the service was not running then."""
    return begun - due > LATE
