from datetime import date

from invoices import Invoice
from reminders import days_late, is_overdue, letter, level, overdue
from summary import ageing, open_by_customer

TODAY = date(2024, 5, 1)


def make(number, issued, terms=14, amount=5000):
    return Invoice(number, "ACME", amount, issued, terms)


def test_days_late():
    assert days_late(make("1", date(2024, 4, 1)), TODAY) == 16
    assert days_late(make("1", date(2024, 4, 25)), TODAY) == -8


def test_not_yet_due():
    assert not is_overdue(make("1", date(2024, 4, 25)), TODAY)


def test_paid_is_never_overdue():
    invoice = make("1", date(2024, 1, 1))
    assert is_overdue(invoice, TODAY)
    invoice.pay(5000, TODAY)
    assert not is_overdue(invoice, TODAY)


def test_order():
    invoices = [make("2", date(2024, 3, 1)), make("1", date(2024, 2, 1)), make("3", date(2024, 4, 30))]
    assert [i.number for i in overdue(invoices, TODAY)] == ["1", "2"]


def test_levels():
    assert level(make("1", date(2024, 4, 10)), TODAY) == "reminder"
    assert level(make("1", date(2024, 4, 1)), TODAY) == "second reminder"
    assert level(make("1", date(2024, 2, 1)), TODAY) == "final notice"
    assert level(make("1", date(2024, 4, 30)), TODAY) is None


def test_letter():
    text = letter(make("7", date(2024, 4, 1)), TODAY)
    assert text == "Second reminder: invoice 7 over 50.00 was due on 15.04.2024."


def test_summary():
    invoices = [make("1", date(2024, 4, 1)), make("2", date(2024, 2, 1)), make("3", date(2024, 4, 30))]
    assert open_by_customer(invoices) == {"ACME": 15000}
    assert ageing(invoices, TODAY) == [5000, 0, 5000, 0]
