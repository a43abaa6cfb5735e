"""Totals per customer."""

from collections import defaultdict

from reminders import is_overdue


def open_by_customer(invoices):
    totals = defaultdict(int)
    for invoice in invoices:
        if invoice.open_amount:
            totals[invoice.customer] += invoice.open_amount
    return dict(totals)


def ageing(invoices, today, buckets=(30, 60, 90)):
    """Open amounts by days late: one total per bucket and one for what is older."""
    totals = [0] * (len(buckets) + 1)
    for invoice in invoices:
        if not is_overdue(invoice, today):
            continue
        late = (today - invoice.due_on).days
        for at, limit in enumerate(buckets):
            if late <= limit:
                totals[at] += invoice.open_amount
                break
        else:
            totals[-1] += invoice.open_amount
    return totals
