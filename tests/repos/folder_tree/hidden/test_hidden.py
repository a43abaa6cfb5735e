from foldertree.node import folder, leaf
from foldertree.query import find


def test_all_levels_in_order():
    root = folder(
        "r",
        leaf("0.log"),
        folder("a", folder("b", folder("c", leaf("1.log"), leaf("x.txt"))), leaf("2.log")),
        folder("d", leaf("3.log")),
    )
    assert [n.name for n in find(root, "*.log")] == ["0.log", "1.log", "2.log", "3.log"]
    assert [n.name for n in find(root, "*.txt")] == ["x.txt"]
