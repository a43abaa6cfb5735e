import pytest

from cachebox.lru import LRUCache
from cachebox.memo import memoize


def test_eviction():
    cache = LRUCache(2)
    for key in "abc":
        cache.put(key, key)
    assert cache.keys() == ["b", "c"]
    assert cache.stats.evictions == 1


def test_put_again_refreshes():
    cache = LRUCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert "a" in cache and "b" not in cache


def test_get():
    cache = LRUCache(1)
    assert cache.get("x", 5) == 5
    cache.put("x", 1)
    assert cache.get("x") == 1
    assert cache.stats.ratio() == 0.5


def test_resize_and_forget():
    cache = LRUCache(3)
    for key in "abc":
        cache.put(key, key)
    cache.resize(1)
    assert cache.keys() == ["c"]
    assert cache.forget("c") == "c"
    assert len(cache) == 0
    with pytest.raises(ValueError):
        LRUCache(0)


def test_memoize():
    calls = []

    @memoize(2)
    def double(n):
        calls.append(n)
        return 2 * n

    assert [double(1), double(1), double(2)] == [2, 2, 4]
    assert calls == [1, 2]
