from stock.counts import merge
from stock.shelf import Shelf


def test_new_articles_are_counted():
    counts = {"chair": 1}
    assert merge(counts, {"lamp": 2, "chair": 3}) == {"chair": 4, "lamp": 2}
    assert counts == {"chair": 1}
    assert merge({}, {"a": 1}) == {"a": 1}
    assert merge({"a": 1}, {}) == {"a": 1}


def test_shelf():
    shelf = Shelf("A1", 10)
    shelf.store({"lamp": 3})
    assert shelf.counts == {"lamp": 3}
