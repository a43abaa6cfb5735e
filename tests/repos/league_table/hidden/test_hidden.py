from league import Table


def test_order_of_criteria():
    table = Table()
    table.record("A", 1, 0, "X")
    table.record("B", 5, 0, "X")
    table.record("C", 6, 1, "X")
    table.record("D", 5, 0, "X")
    assert [t.name for t in table.standings()] == ["C", "B", "D", "A", "X"]
    assert table.leader() == "C"
    assert table.place("A") == 4


def test_losers():
    table = Table()
    table.record("W", 9, 0, "A")
    table.record("V", 1, 0, "B")
    assert [t.name for t in table.standings()] == ["W", "V", "B", "A"]
