"""A cache that forgets what was used longest ago."""

from collections import OrderedDict

from cachebox.stats import Stats


class LRUCache:
    """At most `size` entries; the least recently used one goes first."""

    def __init__(self, size):
        if size < 1:
            raise ValueError("size must be positive")
        self.size = size
        self.stats = Stats()
        self._entries = OrderedDict()

    def __len__(self):
        return len(self._entries)

    def __contains__(self, key):
        return key in self._entries

    def keys(self):
        """Keys, the next to go first."""
        return list(self._entries)

    def get(self, key, default=None):
        if key not in self._entries:
            self.stats.misses += 1
            return default
        self.stats.hits += 1
        return self._entries[key]

    def put(self, key, value):
        if key in self._entries:
            self._entries.move_to_end(key)
        self._entries[key] = value
        while len(self._entries) > self.size:
            self._entries.popitem(last=False)
            self.stats.evictions += 1

    def forget(self, key):
        return self._entries.pop(key, None)

    def resize(self, size):
        self.size = size
        while len(self._entries) > size:
            self._entries.popitem(last=False)
            self.stats.evictions += 1
