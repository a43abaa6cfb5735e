"""Dates and times: modules at the root, tests beside them."""

from __future__ import annotations

from tests.histories.story import Fix, Module, Story

DAYS = Module(
    path="days.py",
    text='''"""Days and weeks."""

from datetime import date, timedelta


def is_leap(year):
    """Whether the year has a 29th of February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def next_weekday(day, weekday):
    """The next such weekday (Monday: 0) after the day, never the day itself."""
    ahead = (weekday - day.weekday() - 1) % 7 + 1
    return day + timedelta(days=ahead)


def workdays(start, end):
    """Days from Monday to Friday from start to end, both included."""
    days = (end - start).days + 1
    return sum((start + timedelta(days=n)).weekday() < 5 for n in range(days))


def quarter(day):
    """1 to 4."""
    return (day.month - 1) // 3 + 1


def overlap(a, b):
    """Whether two (first, last) spans share a day."""
    return a[0] <= b[1] and b[0] <= a[1]
''',
    tests_path="test_days.py",
    tests="""from datetime import date

from days import is_leap, next_weekday, overlap, quarter, workdays


def test_ordinary_year():
    assert not is_leap(2023)


def test_next_weekday_ahead():
    assert next_weekday(date(2024, 1, 1), 2) == date(2024, 1, 3)


def test_quarter_of_february():
    assert quarter(date(2024, 2, 1)) == 1


def test_spans_apart():
    assert not overlap((1, 2), (5, 6))
    assert overlap((1, 9), (5, 6))
""",
    fixes=(
        Fix(
            kind="wrong boolean operator",
            right="year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)",
            wrong="year % 4 == 0 and (year % 100 != 0 and year % 400 == 0)",
            message="""
No year is a leap year any more... nor was 2000

    >>> from days import is_leap
    >>> is_leap(2024)
    False
    >>> is_leap(2000)
    False

Both should be True.
""",
            tests="""
def test_centuries():
    assert is_leap(2000)
    assert not is_leap(1900)
    assert is_leap(1996)
""",
        ),
        Fix(
            kind="off by one",
            right="(end - start).days + 1",
            wrong="(end - start).days",
            message="""
The last day is not counted as a workday

`workdays(date(2024, 1, 1), date(2024, 1, 1))` returns `0`, but it should be `1`.
""",
            tests="""
def test_workdays():
    assert workdays(date(2024, 1, 1), date(2024, 1, 1)) == 1
    assert workdays(date(2024, 1, 1), date(2024, 1, 7)) == 5
    assert workdays(date(2024, 1, 6), date(2024, 1, 7)) == 0
""",
        ),
        Fix(
            kind="off by one in arithmetic",
            right="return (day.month - 1) // 3 + 1",
            wrong="return day.month // 3 + 1",
            message="""
March belongs to the wrong quarter

    >>> from datetime import date
    >>> from days import quarter
    >>> quarter(date(2024, 3, 5))
    2

Expected 1. There is even a fifth quarter in December.
""",
            tests="""
def test_quarters():
    got = [quarter(date(2024, m, 1)) for m in range(1, 13)]
    assert got == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
""",
        ),
        Fix(
            kind="boundary of a comparison",
            right="return a[0] <= b[1] and b[0] <= a[1]",
            wrong="return a[0] <= b[1] and b[0] < a[1]",
            message="""
Bookings that touch are not seen to overlap

```python
from days import overlap

overlap((1, 5), (5, 9))
```

gives `False`, but it should be `True`: on day 5 both are in the house.
""",
            tests="""
def test_touching_spans():
    assert overlap((1, 5), (5, 9))
    assert overlap((5, 9), (1, 5))
    assert not overlap((1, 4), (5, 9))
""",
        ),
    ),
)

CLOCK = Module(
    path="clock.py",
    text='''"""Times of day and durations."""


def parse(text):
    """Minutes since midnight of "H:MM"."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def show(minutes):
    """"H:MM" of minutes, past midnight from the beginning."""
    hours, rest = divmod(minutes % 1440, 60)
    return f"{hours}:{rest:02d}"


def between(start, end):
    """Minutes from one time to the other, over midnight if need be."""
    return (parse(end) - parse(start)) % 1440
''',
    tests_path="test_clock.py",
    tests="""from clock import between, parse, show


def test_midnight():
    assert parse("0:00") == 0


def test_show_noon():
    assert show(720 + 15) == "12:15"


def test_between():
    assert between("1:10", "1:30") == 20
""",
    fixes=(
        Fix(
            kind="format",
            right='f"{hours}:{rest:02d}"',
            wrong='f"{hours}:{rest}"',
            message="""
Full hours are shown with one zero

    >>> from clock import show
    >>> show(60)
    '1:0'

Expected '1:00'.
""",
            tests="""
def test_full_hours():
    assert show(60) == "1:00"
    assert show(65) == "1:05"
    assert show(1440) == "0:00"
""",
        ),
        Fix(
            kind="missing wrap-around",
            right="return (parse(end) - parse(start)) % 1440",
            wrong="return parse(end) - parse(start)",
            message="""
Night shifts have a negative length

`between("22:00", "6:00")` returns `-960` instead of `480`.
""",
            tests="""
def test_over_midnight():
    assert between("22:00", "6:00") == 480
    assert between("23:59", "0:01") == 2
    assert between("6:00", "6:00") == 0
""",
        ),
    ),
)

CALENDAR = Story(name="calendar-tools", modules=(DAYS, CLOCK))
