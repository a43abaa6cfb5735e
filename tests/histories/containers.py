"""Containers and graphs, with unittest classes."""

from __future__ import annotations

from tests.histories.story import Fix, Module, Story

CACHE = Module(
    path="containers/cache.py",
    text='''"""A cache of the latest values."""

from collections import OrderedDict


class Recent:
    """Keeps `size` values; the one that was not used for longest goes first."""

    def __init__(self, size):
        self.size = size
        self._kept = OrderedDict()

    def put(self, key, value):
        """Keep a value."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        while len(self._kept) > self.size:
            self._kept.popitem(last=False)

    def get(self, key, default=None):
        """A kept value, which counts as a use."""
        if key not in self._kept:
            return default
        self._kept.move_to_end(key)
        return self._kept[key]

    def __len__(self):
        return len(self._kept)


def grouped(pairs, into=None):
    """Values by key, in order."""
    into = {} if into is None else into
    for key, value in pairs:
        into.setdefault(key, []).append(value)
    return into
''',
    tests_path="tests/test_cache.py",
    tests="""import unittest

from containers.cache import Recent, grouped


class RecentTest(unittest.TestCase):
    def test_keeps(self):
        kept = Recent(2)
        kept.put("a", 1)
        self.assertEqual(kept.get("a"), 1)
        self.assertIsNone(kept.get("b"))

    def test_grouped(self):
        self.assertEqual(grouped([("a", 1)], {}), {"a": [1]})
""",
    fixes=(
        Fix(
            kind="boundary of a comparison",
            right="while len(self._kept) > self.size:",
            wrong="while len(self._kept) >= self.size:",
            message="""
Recent(2) keeps one value only

```python
from containers.cache import Recent

kept = Recent(2)
kept.put("a", 1)
kept.put("b", 2)
len(kept)
```

gives `1`, but it should be `2`.
""",
            tests="""
class SizeTest(unittest.TestCase):
    def test_size(self):
        kept = Recent(2)
        for key in "abc":
            kept.put(key, key)
        self.assertEqual(len(kept), 2)
        self.assertEqual([kept.get(k) for k in "abc"], [None, "b", "c"])
""",
        ),
        Fix(
            kind="mutable default argument",
            right='''def grouped(pairs, into=None):
    """Values by key, in order."""
    into = {} if into is None else into
''',
            wrong='''def grouped(pairs, into={}):
    """Values by key, in order."""
''',
            message="""
grouped() remembers earlier calls

```python
from containers.cache import grouped

grouped([("a", 1)])
grouped([("b", 2)])   # should be {'b': 2}
```

The second call gives `{'a': [1], 'b': [2]}`, but it should be `{'b': [2]}`.
""",
            tests="""
class GroupedTest(unittest.TestCase):
    def test_calls_are_apart(self):
        self.assertEqual(grouped([("a", 1)]), {"a": [1]})
        self.assertEqual(grouped([("b", 2), ("b", 3)]), {"b": [2, 3]})

    def test_given_is_used(self):
        given = {"a": [0]}
        self.assertIs(grouped([("a", 1)], given), given)
        self.assertEqual(given, {"a": [0, 1]})
""",
        ),
        Fix(
            kind="forgotten statement",
            right="""            return default
        self._kept.move_to_end(key)
""",
            wrong="            return default\n",
            message="""
Values that are read all the time fall out of the cache

```python
from containers.cache import Recent

kept = Recent(2)
kept.put("a", 1)
kept.put("b", 2)
kept.get("a")
kept.put("c", 3)
kept.get("a")
```

gives `None`, but it should be `1`: reading is a use.
""",
            tests="""
class UseTest(unittest.TestCase):
    def test_reading_is_a_use(self):
        kept = Recent(2)
        kept.put("a", 1)
        kept.put("b", 2)
        kept.get("a")
        kept.put("c", 3)
        self.assertEqual([kept.get(k) for k in "abc"], [1, None, 3])
""",
        ),
    ),
)

GRAPH = Module(
    path="containers/graph.py",
    text='''"""Graphs as dictionaries of neighbours."""

from collections import deque


def reachable(graph, start):
    """All nodes that can be reached, the start included."""
    seen = {start}
    waiting = deque([start])
    while waiting:
        for node in graph.get(waiting.popleft(), ()):
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return seen


def distance(graph, start, goal):
    """Fewest steps from start to goal; None if there is no way."""
    steps = {start: 0}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if node == goal:
            return steps[node]
        for other in graph.get(node, ()):
            if other not in steps:
                steps[other] = steps[node] + 1
                waiting.append(other)
    return None


def depth(tree):
    """Levels of nested lists; a leaf has none."""
    if not isinstance(tree, list):
        return 0
    return 1 + max((depth(part) for part in tree), default=0)
''',
    tests_path="tests/test_graph.py",
    tests="""import unittest

from containers.graph import depth, distance, reachable


class GraphTest(unittest.TestCase):
    def test_alone(self):
        self.assertEqual(reachable({"a": []}, "a"), {"a"})

    def test_no_way(self):
        self.assertIsNone(distance({}, "a", "b"))

    def test_depth(self):
        self.assertEqual(depth(1), 0)
        self.assertEqual(depth([1]), 1)
""",
    fixes=(
        Fix(
            kind="stack instead of queue",
            right="node = waiting.popleft()",
            wrong="node = waiting.pop()",
            message="""
distance() is not the shortest

    >>> from containers.graph import distance
    >>> distance({"s": ["g", "a"], "a": ["b"], "b": ["c"], "c": ["e"], "g": ["e"]}, "s", "e")
    4

There is a way with 2 steps, so 2 is expected.
""",
            tests="""
class DistanceTest(unittest.TestCase):
    def test_shortest(self):
        graph = {"s": ["g", "a"], "a": ["b"], "b": ["c"], "c": ["e"], "g": ["e"]}
        self.assertEqual(distance(graph, "s", "e"), 2)
        self.assertEqual(distance(graph, "s", "c"), 3)
        self.assertEqual(distance(graph, "s", "s"), 0)
""",
        ),
        Fix(
            kind="recursion without empty case",
            right="max((depth(part) for part in tree), default=0)",
            wrong="max(depth(part) for part in tree)",
            message="""
depth of an empty list crashes

`depth([])` raises `ValueError: max() arg is an empty sequence`. It should be `1`.
""",
            tests="""
class DepthTest(unittest.TestCase):
    def test_empty(self):
        self.assertEqual(depth([]), 1)
        self.assertEqual(depth([1, [], [[2]]]), 3)
""",
        ),
        Fix(
            kind="missing key",
            right="for node in graph.get(waiting.popleft(), ()):",
            wrong="for node in graph[waiting.popleft()]:",
            message="""
reachable() crashes at nodes without neighbours

    >>> from containers.graph import reachable
    >>> sorted(reachable({"a": ["b"]}, "a"))
    Traceback (most recent call last):
    KeyError: 'b'

Expected ['a', 'b'].
""",
            tests="""
class ReachableTest(unittest.TestCase):
    def test_ends(self):
        self.assertEqual(reachable({"a": ["b"]}, "a"), {"a", "b"})
        self.assertEqual(reachable({"a": ["b"], "b": ["a", "c"]}, "a"), {"a", "b", "c"})
""",
        ),
    ),
)

CONTAINERS = Story(
    name="containers",
    modules=(CACHE, GRAPH),
    files={"containers/__init__.py": "", "tests/__init__.py": ""},
)
