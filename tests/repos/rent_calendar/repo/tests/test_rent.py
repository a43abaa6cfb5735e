from datetime import date

from rent.contract import Contract, first_rent
from rent.months import add_months, days_in_month, first_of_month, months_between


def test_add_months():
    assert add_months(date(2023, 1, 15), 1) == date(2023, 2, 15)
    assert add_months(date(2023, 10, 15), 5) == date(2024, 3, 15)


def test_last_day():
    assert add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert add_months(date(2023, 5, 31), 1) == date(2023, 6, 30)


def test_days_in_month():
    assert days_in_month(2023, 2) == 28
    assert first_of_month(date(2023, 2, 5)) == date(2023, 2, 1)


def test_months_between():
    assert months_between(date(2023, 1, 15), date(2023, 3, 14)) == 1
    assert months_between(date(2022, 12, 1), date(2023, 3, 1)) == 3


def test_contract():
    contract = Contract("1a", date(2023, 1, 10), 600, 6)
    assert contract.end == date(2023, 7, 10)
    assert contract.due_dates()[-1] == date(2023, 6, 10)
    assert contract.paid_until(2) == date(2023, 3, 10)
    assert contract.age(date(2023, 3, 20)) == 2
    assert first_rent(contract) == 426
