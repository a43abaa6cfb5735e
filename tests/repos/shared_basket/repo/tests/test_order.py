import unittest

from basket.export import from_dict, to_dict
from basket.order import Basket
from basket.pricing import discount, tax_included


class BasketTest(unittest.TestCase):
    def setUp(self):
        self.basket = Basket("anna", [])

    def test_add_joins_lines(self):
        self.basket.add("tea", 2, 350)
        self.basket.add("tea", 1, 350)
        self.assertEqual(len(self.basket.lines), 1)
        self.assertEqual(self.basket.count(), 3)

    def test_other_price_is_another_line(self):
        self.basket.add("tea", 1, 350)
        self.basket.add("tea", 1, 300)
        self.assertEqual(len(self.basket.lines), 2)

    def test_remove(self):
        self.basket.add("tea", 1, 350)
        self.basket.remove("tea")
        self.assertEqual(self.basket.count(), 0)
        with self.assertRaises(KeyError):
            self.basket.remove("tea")

    def test_total(self):
        self.basket.add("tea", 10, 100)
        self.assertEqual(self.basket.total(), 950)
        self.basket.coupon = 10
        self.assertEqual(self.basket.total(), 855)

    def test_round_trip(self):
        self.basket.add("tea", 2, 350)
        again = from_dict(to_dict(self.basket))
        self.assertEqual(to_dict(again), to_dict(self.basket))


class PricingTest(unittest.TestCase):
    def test_discount(self):
        self.assertEqual(discount(1000, 25), 750)
        with self.assertRaises(ValueError):
            discount(1000, 101)

    def test_tax(self):
        self.assertEqual(tax_included(119), 19)


if __name__ == "__main__":
    unittest.main()
