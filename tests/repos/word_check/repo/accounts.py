"""Accounts of the intranet."""

import hashlib

from phrases import is_allowed, strength


class WeakPhrase(ValueError):
    pass


class Accounts:
    def __init__(self, minimum=1):
        self.minimum = minimum
        self._digests = {}

    def register(self, name, phrase):
        if name in self._digests:
            raise ValueError(f"{name} is taken")
        self._check(phrase)
        self._digests[name] = self._digest(name, phrase)

    def _check(self, phrase):
        if not is_allowed(phrase):
            raise WeakPhrase("the phrase holds a banned word")
        if strength(phrase) < self.minimum:
            raise WeakPhrase("the phrase is too weak")

    def verify(self, name, phrase):
        return self._digests.get(name) == self._digest(name, phrase)

    @staticmethod
    def _digest(name, phrase):
        return hashlib.sha256(f"{name}:{phrase}".encode()).hexdigest()
