"""Discounts and taxes; all amounts in cents."""

TAX = {"food": 7, "other": 19}


def discount(total, percent):
    if not 0 <= percent <= 100:
        raise ValueError("percent must be between 0 and 100")
    return total - total * percent // 100


def tax_included(gross, kind="other"):
    """The tax inside of a gross amount."""
    rate = TAX[kind]
    return round(gross * rate / (100 + rate))


def volume_discount(count):
    """Percent by number of articles."""
    if count >= 20:
        return 10
    if count >= 10:
        return 5
    return 0
