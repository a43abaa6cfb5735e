"""Examples in the sources' documentation decide between repairs."""

from __future__ import annotations

from agent.models.offline.documented import documented_examples
from agent.models.offline.mutations import Mutant
from agent.models.offline.repository_view import Tree
from agent.models.offline.search import contradiction
from agent.models.offline.survivor_vote import as_documented, rank_survivors, read_comparison

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


def test_an_example_with_names_that_nothing_defines_only_shows_how_a_call_looks() -> None:
    text = '''SIZE = 2


def pascal(n):
    """
    >>> pascal(size)
    [[1]]
    >>> pascal(SIZE)
    [[1], [1, 1]]
    >>> [pascal(n) for n in (1, 2)][0]
    [[1]]
    """
'''
    found = documented_examples({"pascal.py": text}, TREE)
    assert [e.expr for e in found] == ["pascal(SIZE)", "[pascal(n) for n in (1, 2)][0]"]
    anything = documented_examples({"pascal.py": f"from sizes import *\n{text}"}, TREE)
    assert len(anything) == 3


def test_after_a_crash_the_change_that_leaves_other_inputs_crashing_weighs_less() -> None:
    whole, narrow = mutant(1), mutant(2)
    text = "SIGN 0 aa 9 0 0 9\nSIGN 1 bb 7 0 0 7\ncompared 2 changes on 20 examples\n"
    seen = read_comparison(text, [whole, narrow])
    assert [r.mutant for r in rank_survivors([narrow, whole], (), seen, crashed=True)] == [
        whole,
        narrow,
    ]
    both = rank_survivors([narrow, whole], (), seen)
    assert both[0].weight == both[1].weight


def test_what_contradicts_an_example_waits_for_the_end_even_alone() -> None:
    text = "SIGN 0 aa 1 0 1 0\nHELD 0 0 1\nFAILS 0 [0]\ncompared 1 changes on 5 examples\n"
    (behaviour,) = read_comparison(text, [mutant(1)]).values()
    assert behaviour.speaks_against and not behaviour.harmful
