"""Examples in the sources' documentation decide between repairs."""

from __future__ import annotations

from agent.models.offline.documented import documented_examples
from agent.models.offline.mutations import Mutant
from agent.models.offline.repository_view import Tree
from agent.models.offline.search import contradiction
from agent.models.offline.survivor_vote import as_documented, read_comparison

TEXT = '''def pascal(n):
    """Rows of the triangle.

    >>> size = 2
    >>> pascal(size)
    [[1], [1, 1]]
    >>> pascal(0)
    Traceback (most recent call last):
    ValueError
    """


"""
>>> len(pascal(3))
3
"""
'''
TREE = Tree(("pascal.py",), "python3", True)


def mutant(line: int) -> Mutant:
    return Mutant("pascal.py", line, line, "old", "new", "operator", line, 1.0)


def test_examples_with_one_value_are_read_with_the_lines_before_them() -> None:
    found = documented_examples({"pascal.py": TEXT}, TREE)
    assert {(e.expr, e.expected) for e in found} == {
        ("pascal(size)", ("[[1], [1, 1]]",)),
        ("len(pascal(3))", ("3",)),
    }
    first = next(e for e in found if e.expr == "pascal(size)")
    assert first.setup[-1] == "size = 2"
    assert "'pascal'" in first.setup[0]


def test_a_repair_that_contradicts_what_another_keeps_is_left_out() -> None:
    keeps, breaks = mutant(1), mutant(2)
    text = (
        "SIGN 0 aa 1 0 1\nHELD 0 2 0\nFAILS 0 []\nSIGN 1 bb 1 0 1\nHELD 1 1 1\nFAILS 1 [1]\n"
        "compared 2 changes on 5 examples\n"
    )
    seen = read_comparison(text, [keeps, breaks])
    assert as_documented([keeps, breaks], seen) == [keeps]
    documented = documented_examples({"pascal.py": TEXT}, TREE)
    assert contradiction(keeps, documented, seen) == ""
    assert "1 documented example(s)" in contradiction(breaks, documented, seen)


def test_without_documented_examples_all_are_kept() -> None:
    both = [mutant(1), mutant(2)]
    assert as_documented(both, {}) == both
