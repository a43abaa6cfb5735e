"""Contracts and the rents that they cause."""

from dataclasses import dataclass
from datetime import date

from rent.months import add_months, days_in_month, months_between


@dataclass(frozen=True)
class Contract:
    flat: str
    start: date
    rent: int
    months: int = 12

    @property
    def end(self):
        return add_months(self.start, self.months)

    def due_dates(self):
        return [add_months(self.start, n) for n in range(self.months)]

    def paid_until(self, payments):
        """The day until which so many rents are paid."""
        return add_months(self.start, min(payments, self.months))

    def age(self, today):
        return max(0, months_between(self.start, today))


def first_rent(contract):
    """Rent for the rest of the first month, by days."""
    days = days_in_month(contract.start.year, contract.start.month)
    left = days - contract.start.day + 1
    return round(contract.rent * left / days)
