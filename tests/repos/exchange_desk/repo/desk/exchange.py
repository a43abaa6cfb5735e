"""Exchanges and totals."""


def convert(amount, source, target, rates):
    """An amount in another currency, to the cent."""
    return round(amount * rates.rate(source, target), 2)


class Ledger:
    def __init__(self, rates, fee=0.01):
        self.rates = rates
        self.fee = fee
        self.entries = []

    def exchange(self, amount, source, target):
        paid_out = convert(amount * (1 - self.fee), source, target, self.rates)
        self.entries.append((amount, source, paid_out, target))
        return paid_out

    def earned(self):
        """Fees in euros."""
        total = 0.0
        for amount, source, _, _ in self.entries:
            total += convert(amount * self.fee, source, "EUR", self.rates)
        return round(total, 2)
