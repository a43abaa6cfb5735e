"""What is to be done about a pull request that nobody looks at: wait, remind, close."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Idle:
    """How long nobody has been there, and what was said about it."""

    since: datetime
    """When the last person was there."""
    reminded_at: datetime | None = None
    closes_at: datetime | None = None
    """What the reminder says."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done until then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Remind:
    """Say that it will be closed, and when."""

    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Close:
    """Close it."""


Step = Wait | Remind | Close


def next_step(idle: Idle, expires: timedelta, notice: timedelta, now: datetime) -> Step:
    """The next step of a pull request that expires after this time.

    Nothing is closed that was not said `notice` before, or half of `expires` where that is less:
    whatever was missed meanwhile, the reminder comes first and has its time.
    """
    notice = min(notice, expires / 2)
    told = idle.reminded_at is not None and idle.reminded_at > idle.since
    if not told:
        remind_at = idle.since + expires - notice
        return (
            Wait(remind_at) if now < remind_at else Remind(max(idle.since + expires, now + notice))
        )
    closes_at = max(idle.closes_at or now + notice, idle.since + expires)
    return Wait(closes_at) if now < closes_at else Close()
