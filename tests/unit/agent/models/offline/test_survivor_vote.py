"""What a draft says of changes that fit about equally well."""

from __future__ import annotations

import json

from agent.models.offline.issue_examples import Example
from agent.models.offline.mutations import Mutant
from agent.models.offline.reproduce import Reproduction
from agent.models.offline.search import doubt
from agent.models.offline.survivor_vote import RIVAL, Difference, Rated, read_differences

BEST, OTHER, THIRD = (
    Mutant("m.py", 1, 1, "return a", f"return a{n}", "variable", 1, 0.5) for n in range(3)
)
FOUND = Reproduction("pytest", ("test_m.py",), "f(1) gives 2")


def test_the_input_on_which_two_changes_differ_is_read_and_named() -> None:
    examples = [
        Example("f(1)", ("from m import f",)),
        Example("f(table)", ("from m import f", "table = {\n  1: 2}")),
    ]
    answer = "\n".join(
        f"DIFFERS {n} {json.dumps([at, '3', 'raises KeyError'])}" for n, at in ((1, 1), (2, 7))
    )
    apart = read_differences(answer, [OTHER, THIRD], examples)
    assert apart == {OTHER: Difference("table = { 1: 2}; f(table)", "3", "raises KeyError")}
    order = [Rated(BEST, 1.0), Rated(OTHER, RIVAL), Rated(THIRD, RIVAL)]
    why = doubt(order, FOUND, {}, apart)
    assert "2 other small change(s)" in why and "becomes `return a1`" in why
    assert "for `table = { 1: 2}; f(table)`, this patch: `3`, the other: `raises KeyError`" in why
    assert "becomes `return a2`" in why  # no input was found: named all the same


def test_a_change_of_clearly_less_weight_leaves_no_doubt() -> None:
    assert doubt([Rated(BEST, 1.0), Rated(OTHER, RIVAL - 0.01)], FOUND, {}, {}) == ""
