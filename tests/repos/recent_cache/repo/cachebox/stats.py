"""Counting hits."""


class Stats:
    def __init__(self):
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    def ratio(self):
        total = self.hits + self.misses
        return self.hits / total if total else 0.0

    def reset(self):
        self.hits = self.misses = self.evictions = 0
