import pytest

from build.graph import Graph, UnknownTarget
from build.plan import parse, stale

TEXT = """
# demo
app: lib
lib: base
"""


def test_chain():
    assert parse(TEXT).order("app") == ["base", "lib", "app"]


def test_two_needs():
    graph = Graph()
    graph.add("a", ["b", "c"])
    assert graph.order("a") == ["c", "b", "a"]


def test_unknown():
    with pytest.raises(UnknownTarget):
        Graph().order("x")


def test_roots():
    assert parse(TEXT).roots() == ["app"]


def test_stale():
    graph = parse(TEXT)
    assert stale(graph, "app", {"base": 5, "lib": 6, "app": 7}) == []
    assert stale(graph, "app", {"base": 8, "lib": 6, "app": 7}) == ["lib", "app"]
