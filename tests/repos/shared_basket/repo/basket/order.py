"""Baskets and orders."""

from basket.pricing import discount, volume_discount


class Line:
    """An article in a basket."""

    def __init__(self, article, quantity, price):
        self.article = article
        self.quantity = quantity
        self.price = price

    @property
    def total(self):
        return self.quantity * self.price

    def __repr__(self):
        return f"Line({self.article!r}, {self.quantity}, {self.price})"


class Basket:
    """What a customer wants to buy."""

    def __init__(self, customer, lines=[], coupon=0):
        self.customer = customer
        self.lines = lines
        self.coupon = coupon

    def add(self, article, quantity=1, price=0):
        if quantity < 1:
            raise ValueError("quantity must be at least 1")
        line = self.find(article)
        if line is not None and line.price == price:
            line.quantity += quantity
        else:
            line = Line(article, quantity, price)
            self.lines.append(line)
        return line

    def find(self, article):
        for line in self.lines:
            if line.article == article:
                return line
        return None

    def remove(self, article):
        line = self.find(article)
        if line is None:
            raise KeyError(article)
        self.lines.remove(line)

    def count(self):
        return sum(line.quantity for line in self.lines)

    def total(self):
        """What is to be paid: volume discount first, then the coupon."""
        amount = sum(line.total for line in self.lines)
        amount = discount(amount, volume_discount(self.count()))
        return discount(amount, self.coupon)
