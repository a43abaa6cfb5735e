from cachebox.lru import LRUCache
from cachebox.memo import memoize


def test_use_order():
    cache = LRUCache(3)
    for key in "abc":
        cache.put(key, key.upper())
    assert cache.get("a") == "A"
    assert cache.keys() == ["b", "c", "a"]
    assert cache.get("b") == "B"
    assert cache.keys() == ["c", "a", "b"]
    cache.put("d", "D")
    assert cache.keys() == ["a", "b", "d"]
    assert cache.get("zzz") is None
    assert cache.keys() == ["a", "b", "d"]
    assert (cache.stats.hits, cache.stats.misses, cache.stats.evictions) == (2, 1, 1)


def test_membership_is_no_use():
    cache = LRUCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert "a" in cache
    cache.put("c", 3)
    assert cache.keys() == ["b", "c"]
