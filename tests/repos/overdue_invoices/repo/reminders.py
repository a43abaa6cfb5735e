"""Who gets a reminder, and how stern."""

from invoices import Invoice

LEVELS = ((30, "final notice"), (14, "second reminder"), (0, "reminder"))


def days_late(invoice, today):
    """Days since the due date; negative while there is still time."""
    return (today - invoice.due_on).days


def is_overdue(invoice: Invoice, today):
    """Whether a reminder may be sent today."""
    if invoice.open_amount == 0:
        return False
    return days_late(invoice, today) >= 0


def overdue(invoices, today):
    """Overdue invoices, the latest first."""
    late = [i for i in invoices if is_overdue(i, today)]
    return sorted(late, key=lambda i: (i.due_on, i.number))


def level(invoice, today):
    """The kind of letter to send, or None."""
    if not is_overdue(invoice, today):
        return None
    late = days_late(invoice, today)
    for days, name in LEVELS:
        if late >= days:
            return name
    return None


def letter(invoice, today):
    kind = level(invoice, today)
    if kind is None:
        return ""
    amount = f"{invoice.open_amount / 100:.2f}"
    return f"{kind.capitalize()}: invoice {invoice.number} over {amount} was due on {invoice.due_on:%d.%m.%Y}."
