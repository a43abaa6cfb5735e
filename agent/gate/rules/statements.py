"""Statements of tests as the rules look at them: what they say, and what they could do."""

from __future__ import annotations

import ast


def can_end(statement: ast.stmt) -> bool:
    """Whether a statement could end its test early, or skip or fail it by a call."""
    ending = ast.Return | ast.Raise | ast.Yield | ast.YieldFrom | ast.Continue | ast.Break
    for node in ast.walk(statement):
        if isinstance(node, ending):
            return True
        if isinstance(node, ast.Call):
            called = shown(node.func).lower()
            if any(
                w.lower() in called for w in ("skip", "xfail", "exit", "setattr", "exec", "fail")
            ):
                return True
    return False


def asserts(statement: ast.stmt) -> bool:
    """Whether a statement checks something."""
    return any(
        isinstance(node, ast.Assert)
        or (
            isinstance(node, ast.Attribute)
            and (node.attr.startswith("assert") or node.attr in ("raises", "warns", "approx"))
        )
        for node in ast.walk(statement)
    )


def shown_whole(node: ast.AST) -> str:
    """A node's source on one line."""
    return " ".join(ast.unparse(node).split())


def shown(node: ast.AST) -> str:
    """A node's source on one line, cut to 100 characters."""
    text = shown_whole(node)
    return text if len(text) <= 100 else f"{text[:97]}…"
