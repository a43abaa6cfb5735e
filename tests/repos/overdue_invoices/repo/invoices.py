"""Invoices and their payments."""

from dataclasses import dataclass, field
from datetime import date, timedelta


@dataclass
class Payment:
    paid_on: date
    amount: int


@dataclass
class Invoice:
    """One invoice; amounts in cents, `terms` in days."""

    number: str
    customer: str
    amount: int
    issued_on: date
    terms: int = 14
    payments: list = field(default_factory=list)

    @property
    def due_on(self):
        return self.issued_on + timedelta(days=self.terms)

    @property
    def paid(self):
        return sum(p.amount for p in self.payments)

    @property
    def open_amount(self):
        return max(self.amount - self.paid, 0)

    def pay(self, amount, on):
        if amount <= 0:
            raise ValueError("a payment must be positive")
        self.payments.append(Payment(on, amount))
        return self.open_amount
