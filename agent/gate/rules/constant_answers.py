"""Functions that could answer this or that, and after the patch only ever answer one thing.

A reproduction asks for one answer; code that gives it to every question passes. A heuristic over
syntax trees: it sees `return` of one and the same literal, not a value that is always the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agent.gate.patch.changed_file import ChangedFile, Function, functions


def constant_answers(file: ChangedFile) -> tuple[str, ...]:
    """Why functions of a source file look as if they had stopped to decide; empty if none does.

    A function that refuses by an exception, or that a base class leaves open, still decides.
    """
    if not file.is_source or not file.path.endswith(".py"):
        return ()
    before, after = file.plain_base, file.plain_patched
    if before is None or after is None:
        return ()
    old = dict(functions(before))
    return tuple(
        f"{file.path}: {name} now always returns {answer}, which it did not before. Nothing "
        "shows that no other answer is wanted any more."
        for name, node in functions(after)
        if name in old and (answer := _only(node)) is not None and _only(old[name]) is None
    )


def _only(function: Function) -> str | None:
    """The one literal that a function returns wherever it returns; None if it may do otherwise."""
    answers: set[str] = set()
    for node in _own_nodes(function):
        if isinstance(node, ast.Raise | ast.Yield | ast.YieldFrom):
            return None
        if isinstance(node, ast.Return):
            value = node.value if node.value is not None else ast.Constant(None)
            if not isinstance(value, ast.Constant):
                return None
            answers.add(repr(value.value))
    return answers.pop() if len(answers) == 1 else None


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the function does: without functions and classes inside."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        ):
            yield child
            yield from _own_nodes(child)
