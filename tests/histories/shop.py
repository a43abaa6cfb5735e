"""A shop: prices, stock, orders."""

from __future__ import annotations

from tests.histories.story import Fix, Module, Story

PRICES = Module(
    path="shop/prices.py",
    text='''"""Prices in cents."""


def with_discount(cents, percent):
    """The price after a discount of so many percent."""
    if percent < 0 or percent > 100:
        raise ValueError("percent must be between 0 and 100")
    return cents - cents * percent // 100


def total(items):
    """Sum of price times amount over (price, amount) pairs."""
    result = 0
    for price, amount in items:
        result += price * amount
    return result


def shipping(cents, country="DE"):
    """Shipping is free from 5000 cents on."""
    if cents >= 5000:
        return 0
    return 490 if country == "DE" else 990


def split_evenly(cents, people):
    """Shares that differ by one cent at most and sum up to the whole."""
    share, rest = divmod(cents, people)
    return [share + 1 if i < rest else share for i in range(people)]
''',
    tests_path="tests/test_prices.py",
    tests="""from shop.prices import shipping, split_evenly, total, with_discount


def test_discount_of_nothing():
    assert with_discount(500, 0) == 500


def test_total_of_nothing():
    assert total([]) == 0


def test_shipping_of_small_orders():
    assert shipping(100) == 490


def test_shares_without_rest():
    assert split_evenly(90, 3) == [30, 30, 30]
""",
    fixes=(
        Fix(
            kind="wrong operator",
            right="result += price * amount",
            wrong="result += price + amount",
            message="""
Order totals are far too low

    >>> from shop.prices import total
    >>> total([(250, 4)])
    expected: 1000
    got: 254
""",
            tests="""
def test_total_multiplies():
    assert total([(250, 4)]) == 1000
    assert total([(100, 1), (50, 3)]) == 250
    assert total([(7, 0)]) == 0
""",
        ),
        Fix(
            kind="boundary of a comparison",
            right="if cents >= 5000:",
            wrong="if cents > 5000:",
            message="""
Shipping is charged for an order of exactly 50 euros

`shipping(5000)` returns `490` but it should be `0`: free from 5000 on.
""",
            tests="""
def test_free_shipping_boundary():
    assert shipping(5000) == 0
    assert shipping(4999) == 490
    assert shipping(5000, "FR") == 0
    assert shipping(4999, "FR") == 990
""",
        ),
        Fix(
            kind="rest is lost",
            right="[share + 1 if i < rest else share for i in range(people)]",
            wrong="[share for i in range(people)]",
            message="""
Splitting a bill loses cents

    >>> from shop.prices import split_evenly
    >>> split_evenly(100, 3)
    [33, 33, 33]

One cent is nobody's. Expected `[34, 33, 33]`.
""",
            tests="""
def test_shares_with_rest():
    assert split_evenly(100, 3) == [34, 33, 33]
    assert split_evenly(5, 4) == [2, 1, 1, 1]
    assert sum(split_evenly(1003, 7)) == 1003
""",
        ),
    ),
)

STOCK = Module(
    path="shop/stock.py",
    text='''"""What is on the shelves."""


class Shelf:
    """Amounts by article."""

    def __init__(self, amounts=None):
        self.amounts = dict(amounts or {})

    def add(self, article, amount):
        """Put some on the shelf."""
        self.amounts[article] = self.amounts.get(article, 0) + amount

    def take(self, article, amount):
        """Take some; False if there is not enough."""
        if self.amounts.get(article, 0) < amount:
            return False
        self.amounts[article] -= amount
        return True

    def low(self, least):
        """Articles with fewer than `least`, by name."""
        return sorted(a for a, n in self.amounts.items() if n < least)
''',
    tests_path="tests/test_stock.py",
    tests="""from shop.stock import Shelf


def test_add_and_take():
    shelf = Shelf({"pen": 3})
    shelf.add("pen", 2)
    assert shelf.take("pen", 1)
    assert shelf.amounts["pen"] == 4


def test_low_of_none():
    assert Shelf().low(5) == []
""",
    fixes=(
        Fix(
            kind="missing key",
            right="self.amounts.get(article, 0) + amount",
            wrong="self.amounts[article] + amount",
            message="""
Adding a new article crashes

```
>>> from shop.stock import Shelf
>>> shelf = Shelf()
>>> shelf.add("ink", 2)
KeyError: 'ink'
>>> shelf.amounts   # should be {'ink': 2}
```
""",
            tests="""
def test_add_new_article():
    shelf = Shelf()
    shelf.add("ink", 2)
    shelf.add("ink", 3)
    assert shelf.amounts == {"ink": 5}
""",
        ),
        Fix(
            kind="boundary of a comparison",
            right="if self.amounts.get(article, 0) < amount:",
            wrong="if self.amounts.get(article, 0) <= amount:",
            message="""
The last piece cannot be taken

```python
from shop.stock import Shelf

shelf = Shelf({"pen": 1})
shelf.take("pen", 1)
```

gives `False`, but it should be `True`.
""",
            tests="""
def test_take_the_last():
    shelf = Shelf({"pen": 2})
    assert shelf.take("pen", 2) is True
    assert shelf.amounts["pen"] == 0
    assert shelf.take("pen", 1) is False
    assert Shelf().take("ink", 1) is False
""",
        ),
        Fix(
            kind="missing call",
            right="return sorted(a for a, n in self.amounts.items() if n < least)",
            wrong="return [a for a, n in self.amounts.items() if n < least]",
            message="""
Report of low articles is in no order

    >>> from shop.stock import Shelf
    >>> Shelf({"pen": 1, "ink": 2}).low(3)
    ['pen', 'ink']

The names should be sorted: `['ink', 'pen']`.
""",
            tests="""
def test_low_is_sorted():
    assert Shelf({"pen": 1, "ink": 2, "cap": 9}).low(3) == ["ink", "pen"]
    assert Shelf({"b": 0, "a": 0, "c": 0}).low(1) == ["a", "b", "c"]
""",
        ),
    ),
)

SHOP = Story(
    name="shop",
    modules=(PRICES, STOCK),
    files={"shop/__init__.py": "", "pyproject.toml": "[tool.pytest.ini_options]\npythonpath='.'\n"},
)
