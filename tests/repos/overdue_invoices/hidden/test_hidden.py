from datetime import date, timedelta

from invoices import Invoice
from reminders import is_overdue, level

DUE = date(2024, 3, 31)


def test_around_the_due_date():
    invoice = Invoice("A-1", "ACME", 1200, date(2024, 3, 1), 30)
    assert not is_overdue(invoice, DUE - timedelta(days=1))
    assert not is_overdue(invoice, DUE)
    assert is_overdue(invoice, DUE + timedelta(days=1))
    assert level(invoice, DUE) is None
    assert level(invoice, DUE + timedelta(days=1)) == "reminder"
    assert level(invoice, DUE + timedelta(days=30)) == "final notice"


def test_no_terms():
    invoice = Invoice("A-2", "ACME", 1200, date(2024, 3, 1), 0)
    assert not is_overdue(invoice, date(2024, 3, 1))
    assert is_overdue(invoice, date(2024, 3, 2))
