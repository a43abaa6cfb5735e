import unittest

from stock.counts import merge, missing, parse, render, total
from stock.shelf import Shelf, ShelfFull


class CountsTest(unittest.TestCase):
    def test_parse(self):
        self.assertEqual(parse("2 x lamp; 1 x chair;"), {"lamp": 2, "chair": 1})
        with self.assertRaises(ValueError):
            parse("lamp")

    def test_merge(self):
        counts = {"lamp": 2, "chair": 1}
        self.assertEqual(merge(counts, {"lamp": 3}), {"lamp": 5, "chair": 1})
        self.assertEqual(counts["lamp"], 2)

    def test_missing(self):
        self.assertEqual(missing({"lamp": 2}, {"lamp": 3, "chair": 1}), {"lamp": 1, "chair": 1})

    def test_render(self):
        self.assertEqual(render({"lamp": 2, "chair": 1}), "1 x chair; 2 x lamp")
        self.assertEqual(total({"lamp": 2, "chair": 1}), 3)


class ShelfTest(unittest.TestCase):
    def test_store_and_take(self):
        shelf = Shelf("A1", 10, {"lamp": 2})
        shelf.store({"lamp": 3})
        self.assertEqual(shelf.free, 5)
        shelf.take("lamp", 5)
        self.assertEqual(shelf.counts, {})
        with self.assertRaises(LookupError):
            shelf.take("lamp")

    def test_full(self):
        with self.assertRaises(ShelfFull):
            Shelf("A1", 1, {"lamp": 1}).store({"lamp": 1})
