"""Shelves hold counts of articles up to a capacity."""

from stock.counts import merge, total


class ShelfFull(Exception):
    pass


class Shelf:
    def __init__(self, name, capacity, counts=None):
        self.name = name
        self.capacity = capacity
        self.counts = dict(counts or {})

    @property
    def free(self):
        return self.capacity - total(self.counts)

    def store(self, counts):
        if total(counts) > self.free:
            raise ShelfFull(self.name)
        self.counts = merge(self.counts, counts)

    def take(self, article, quantity=1):
        if self.counts.get(article, 0) < quantity:
            raise LookupError(article)
        self.counts[article] -= quantity
        if not self.counts[article]:
            del self.counts[article]
