"""Baskets as plain data."""

from basket.order import Basket, Line


def to_dict(basket):
    return {
        "customer": basket.customer,
        "coupon": basket.coupon,
        "lines": [[x.article, x.quantity, x.price] for x in basket.lines],
    }


def from_dict(data):
    lines = [Line(*entry) for entry in data["lines"]]
    return Basket(data["customer"], lines, data.get("coupon", 0))
