import pytest

from desk.exchange import Ledger, convert
from desk.rates import Rates, UnknownCurrency

RATES = Rates({"USD": 1.25, "JPY": 160.0})


def test_convert():
    assert convert(100, "EUR", "USD", RATES) == 125
    assert convert(125, "USD", "EUR", RATES) == 100
    with pytest.raises(UnknownCurrency):
        convert(1, "EUR", "XXX", RATES)


def test_ledger():
    ledger = Ledger(RATES)
    assert ledger.exchange(100, "EUR", "USD") == 123.75
    assert ledger.exchange(1600, "JPY", "EUR") == 9.9
    assert ledger.earned() == 1.1
    assert RATES.currencies() == ["EUR", "JPY", "USD"]
