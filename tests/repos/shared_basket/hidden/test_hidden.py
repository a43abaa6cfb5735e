from basket.order import Basket, Line


def test_baskets_are_apart():
    first, second = Basket("a"), Basket("b")
    first.add("tea", 2, 350)
    assert second.count() == 0
    assert first.count() == 2
    assert Basket("c").lines == []
    assert first.total() == 700


def test_given_lines_are_used():
    basket = Basket("a", [Line("tea", 1, 350)])
    assert basket.count() == 1
    assert basket.total() == 350
