"""Which Python tests a change renames, by syntax tree.

A test that encodes the old behaviour often says so in its name, and the fix renames it. Nothing in
a text says that two names are one test: the new one in its place is taken, else the most similar.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence

_ALIKE = 0.5
"""How similar two tests' source must be, of 1."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def renamed_tests(before: Sequence[ast.stmt], after: Sequence[ast.stmt]) -> Mapping[str, str]:
    """The new names of tests that are gone from one body (a module's or a class's), by the old.

    A new name stands for one old test at most.
    """
    old, new = _tests(before), _tests(after)
    follows, now_follows = _predecessors(before), _predecessors(after)
    fresh = {name: ast.unparse(node).split() for name, node in new.items() if name not in old}
    pairs = sorted(
        (
            (follows[gone] == now_follows[name], _similarity(node, words), gone, name)
            for gone, node in old.items()
            if gone not in new
            for name, words in fresh.items()
            if type(node) is type(new[name])
        ),
        reverse=True,
    )
    renamed: dict[str, str] = {}
    for _, alike, gone, name in pairs:
        if alike >= _ALIKE and gone not in renamed and name not in renamed.values():
            renamed[gone] = name
    return renamed


def _similarity(test: _Function, words: list[str]) -> float:
    return difflib.SequenceMatcher(None, ast.unparse(test).split(), words).ratio()


def _predecessors(body: Sequence[ast.stmt]) -> dict[str, str]:
    """What stands before each definition; empty for the first."""
    names = [s.name for s in body if isinstance(s, _Function | ast.ClassDef)]
    return dict(zip(names, ["", *names], strict=False))


def _tests(body: Sequence[ast.stmt]) -> dict[str, _Function]:
    return {s.name: s for s in body if isinstance(s, _Function) and s.name.startswith("test")}
