"""Remembering what functions gave."""

import functools

from cachebox.lru import LRUCache

_MISSING = object()


def memoize(size=128):
    def decorate(function):
        cache = LRUCache(size)

        @functools.wraps(function)
        def wrapper(*args):
            value = cache.get(args, _MISSING)
            if value is _MISSING:
                value = function(*args)
                cache.put(args, value)
            return value

        wrapper.cache = cache
        return wrapper

    return decorate
