import pytest

from foldertree.node import folder, leaf, resolve
from foldertree.query import depth, find, largest, total, walk
from foldertree.show import render


@pytest.fixture
def root():
    return folder("var", folder("log", leaf("b.log", 20), leaf("c.txt", 5)), folder("tmp"))


def test_total_and_depth(root):
    assert total(root) == 25
    assert depth(root) == 2


def test_find(root):
    assert [n.name for n in find(resolve(root, "log"), "*.log")] == ["b.log"]
    assert find(root, "*.bin") == []


def test_find_below(root):
    assert [n.name for n in find(root, "*.log")] == ["b.log"]


def test_largest(root):
    assert [n.name for n in largest(root, 1)] == ["b.log"]


def test_walk_and_resolve(root):
    assert [n.name for n in walk(root)] == ["var", "log", "b.log", "c.txt", "tmp"]
    with pytest.raises(KeyError):
        resolve(root, "log/x")


def test_render(root):
    assert render(root) == ["var/", "  log/", "    b.log (20)", "    c.txt (5)", "  tmp/"]
