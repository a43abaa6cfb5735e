import pytest
from league import Table
from show import render


def test_points():
    table = Table()
    table.record("A", 2, 1, "B")
    table.record("A", 1, 1, "C")
    assert [(t.name, t.points) for t in table.standings()] == [("A", 4), ("C", 1), ("B", 0)]


def test_all_equal_by_name():
    assert [t.name for t in Table(["C", "A", "B"]).standings()] == ["A", "B", "C"]


def test_more_goals():
    table = Table()
    table.record("A", 1, 1, "B")
    table.record("C", 3, 3, "D")
    assert [t.name for t in table.standings()] == ["C", "D", "A", "B"]


def test_place_and_leader():
    table = Table()
    assert table.leader() is None
    table.record("B", 1, 0, "A")
    assert table.leader() == "B"
    assert table.place("A") == 2


def test_bad_results():
    for bad in (("A", 1, 0, "A"), ("A", -1, 0, "B")):
        with pytest.raises(ValueError):
            Table().record(*bad)


def test_render():
    table = Table()
    table.record("A", 2, 0, "B")
    assert render(table).splitlines()[0] == " 1. A             1    2:0   3"
