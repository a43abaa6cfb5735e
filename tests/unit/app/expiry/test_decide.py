"""When a pull request that nobody looks at is spoken of, and when it is closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.expiry.decide import Close, Idle, Remind, Step, Wait, next_step

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def step(idle: Idle, now: float, *, expires: float = 14, notice: float = 5) -> Step:
    return next_step(idle, timedelta(days=expires), timedelta(days=notice), day(now))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (0, Wait(day(9))),
        (8.9, Wait(day(9))),
        (9, Remind(day(14))),
        (13.5, Remind(day(18.5))),  # late: the notice is whole all the same
        (60, Remind(day(65))),
    ],
)
def test_people_are_reminded_once_nobody_was_there(now: float, expected: Step) -> None:
    assert step(Idle(day(0)), now) == expected


def test_nothing_is_closed_before_the_day_that_was_named() -> None:
    told = Idle(day(0), reminded_at=day(60), closes_at=day(65))
    assert step(told, 64.9) == Wait(day(65))
    assert step(told, 65) == Close()
    # The settings were changed since: the later day holds.
    assert step(told, 65, expires=90) == Wait(day(90))
    assert step(told, 64, expires=1) == Wait(day(65))


def test_somebody_who_came_by_gives_it_another_time_and_another_reminder() -> None:
    came = Idle(day(61), reminded_at=day(60), closes_at=day(65))
    assert step(came, 66) == Wait(day(70))
    assert step(came, 70) == Remind(day(75))


def test_the_notice_is_no_longer_than_half_of_the_time() -> None:
    assert step(Idle(day(0)), 0.4, expires=1) == Wait(day(0.5))
    assert step(Idle(day(0)), 0.5, expires=1) == Remind(day(1))
