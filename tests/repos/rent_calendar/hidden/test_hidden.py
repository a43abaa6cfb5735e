from datetime import date

import pytest
from rent.contract import Contract
from rent.months import add_months


@pytest.mark.parametrize("count", range(0, 40))
def test_count_by_hand(count):
    year, month = 2023, 11
    for _ in range(count):
        month += 1
        if month == 13:
            year, month = year + 1, 1
    assert add_months(date(2023, 11, 15), count) == date(year, month, 15)


def test_december():
    assert add_months(date(2023, 12, 31), 0) == date(2023, 12, 31)
    assert add_months(date(2023, 12, 31), 12) == date(2024, 12, 31)
    assert Contract("x", date(2023, 12, 1), 1).end == date(2024, 12, 1)
