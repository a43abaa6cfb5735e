"""Targets and what they depend on."""

from collections import deque


class UnknownTarget(KeyError):
    pass


class CycleError(ValueError):
    pass


class Graph:
    def __init__(self):
        self._needs = {}

    def add(self, name, needs=()):
        self._needs[name] = list(needs)
        for other in needs:
            self._needs.setdefault(other, [])

    def needs(self, name):
        try:
            return list(self._needs[name])
        except KeyError:
            raise UnknownTarget(name) from None

    def order(self, name):
        """Targets to build for `name`, what is needed first."""
        seen = {name}
        queue = deque([name])
        order = []
        while queue:
            target = queue.popleft()
            order.append(target)
            for other in self.needs(target):
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
        return order[::-1]

    def roots(self):
        """Targets that nothing depends on."""
        needed = {n for needs in self._needs.values() for n in needs}
        return sorted(set(self._needs) - needed)
