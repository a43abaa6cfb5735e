"""Failures for want of a name that a change brings, beside failures that only look like it."""

from __future__ import annotations

import pytest

from agent.gate.patch.changed_file import ChangedFile, changed_texts
from agent.proving.wanting_names import NewNames

BASE = """class Shop:
    def close(self):
        self._flush()

    def sell(self, row):
        return row
"""
PATCHED = """import decimal


class Shop:
    def close(self):
        self._flush()

    def _flush(self):
        self.open = False

    def sell(self, row, currency="EUR"):
        return row

    def __len__(self):
        return 0


class Till:
    drawer: int
"""
SCRIPT = changed_texts(
    "lib/shop.js",
    "exports.total = (rows) => rows.length\n",
    "exports.total = (rows) => rows.length\nexports.least = (rows) => rows[0]\n",
)
NEW = ChangedFile(path="shop/prices.py", base=None, patched="def price():\n    return 1\n")
NAMES = NewNames([changed_texts("shop/till.py", BASE, PATCHED), SCRIPT, NEW])
TESTS = ("tests/test_till.py",)
HERE = "\n\ntests/test_till.py:12: {}"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("E   AttributeError: module 'shop.till' has no attribute 'Till'", "Till"),
        ("E   AttributeError: 'Shop' object has no attribute 'open'", "open"),
        ("E   ImportError: cannot import name 'Till' from 'shop.till' (/w/till.py)", "Till"),
        ("E   ModuleNotFoundError: No module named 'shop.prices'", "prices"),
        ("E   NameError: name 'price' is not defined", "price"),
        ("E   TypeError: Shop.sell() got an unexpected keyword argument 'currency'", "currency"),
        ("E   TypeError: Till.__init__() got an unexpected keyword argument 'drawer'", "drawer"),
        ("TypeError: shop.least is not a function", "least"),
        ("TypeError: (0 , shop_1.least) is not a function", "least"),
        ("ReferenceError: least is not defined", "least"),
        # The base has the name, or nothing brings it.
        ("E   AttributeError: 'Shop' object has no attribute 'sell'", ""),
        ("E   TypeError: Shop.close() got an unexpected keyword argument 'currency'", ""),
        ("TypeError: shop.total is not a function", ""),
        ("E   AttributeError: 'Shop' object has no attribute 'elsewhere'", ""),
        # There was nothing where something should have been, and the language's own names.
        ("E   AttributeError: 'NoneType' object has no attribute 'open'", ""),
        ("E   AttributeError: 'Shop' object has no attribute '__len__'", ""),
        ("E   assert 400 == 650", ""),
    ],
)
def test_the_name_is_one_that_the_change_brings(message: str, name: str) -> None:
    assert NAMES.explain(message, TESTS) == name


def test_the_bases_own_want_of_a_name_is_a_bug() -> None:
    message = "E   AttributeError: 'Shop' object has no attribute '_flush'"
    assert NAMES.explain(f"{message}{HERE.format('AttributeError')}", TESTS) == "_flush"
    inside = "\n\ntests/test_till.py:12: \n\nshop/till.py:3: AttributeError"
    assert NAMES.explain(f"{message}{inside}", TESTS) == ""


def test_the_last_failure_of_a_chain_counts() -> None:
    chained = (
        "E   AttributeError: module 'shop.till' has no attribute 'Till'\n\n"
        "E   AttributeError: 'Shop' object has no attribute 'elsewhere'"
    )
    assert NAMES.explain(chained, TESTS) == ""
