"""Inputs near an example: the same code with one literal or argument list changed."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, zip_longest

from agent.models.offline.issue_examples import Example

CHANGED = (ast.Constant, ast.List, ast.Dict, ast.Tuple, ast.Call)
MOST_SPOTS = 16
_LONGEST_CONSTANT = 16
FILLED = ("[1]", "[1, 2]", "[3, 1, 2]", "['a']", "['a', 'b']", "[[]]", "[[1], [2]]")
"""What an empty list becomes."""


def nearby(
    example: Example, most: int = 60, others: Sequence[bool | float | str] = ()
) -> list[Example]:
    """Examples like this one, with one literal a little different; all literals get a turn.

    `others`: values that may take the place of one of their own type.
    """
    code = "\n".join([*example.setup, example.expr])
    tree = ast.parse(code)
    turns = [
        [_with(tree, at, near) for near in _alternating(_near(spot), _like(spot, others))]
        for at, spot in enumerate(_spots(tree)[:MOST_SPOTS])
    ]
    mixed = (c for c in chain.from_iterable(zip_longest(*turns)) if c is not None)
    found = []
    for text in islice(dict.fromkeys(mixed), most):
        body = ast.parse(text).body
        if body and isinstance(body[-1], ast.Expr):
            setup = tuple(ast.unparse(s) for s in body[:-1])
            found.append(Example(ast.unparse(body[-1]), setup))
    return found


def of_failing_test(text: str, name: str) -> Example | None:
    """The example that a failing test holds: its statements, and what its last check looks at."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    top = [
        n for n in tree.body if not isinstance(n, ast.FunctionDef) or not n.name.startswith("test")
    ]
    test = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name), None)
    if test is None or test.args.args:
        return None
    before: list[ast.stmt] = list(top)
    looked_at: list[str] = []
    for node in test.body:
        if isinstance(node, ast.Assert):
            seen = node.test
            looked_at.append(ast.unparse(seen.left if isinstance(seen, ast.Compare) else seen))
        else:
            before.append(node)
    if not looked_at:
        return None
    return Example(f"[{', '.join(looked_at)}]", tuple(ast.unparse(n) for n in before))


def _spots(tree: ast.AST) -> list[ast.expr]:
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.JoinedStr) for n in ast.walk(f)}
    return [n for n in ast.walk(tree) if isinstance(n, CHANGED) and id(n) not in inside]


def _with(tree: ast.Module, at: int, new: ast.expr) -> str:
    changed = copy.deepcopy(tree)
    target = _spots(changed)[at]

    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is target else self.generic_visit(node)

    return ast.unparse(Swap().visit(changed))


def constants_of(text: str, most: int = 12) -> list[bool | float | str]:
    """The short literals that a module's code names, without its documentation."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    told = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    values = [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant)
        and id(n) not in told
        and isinstance(n.value, bool | int | float | str)
        and len(repr(n.value)) <= _LONGEST_CONSTANT
    ]
    return list({(type(v), v): v for v in values}.values())[:most]


def _like(spot: ast.expr, others: Sequence[bool | float | str]) -> Iterator[ast.expr]:
    if isinstance(spot, ast.Constant):
        yield from (
            ast.Constant(v) for v in others if type(v) is type(spot.value) and v != spot.value
        )


def _alternating(one: Iterable[ast.expr], other: Iterable[ast.expr]) -> Iterator[ast.expr]:
    pairs = zip_longest(one, other)
    yield from (value for pair in pairs for value in pair if value is not None)


def _near(spot: ast.expr) -> Iterator[ast.expr]:
    if isinstance(spot, ast.List) and not spot.elts:
        yield from (ast.parse(text, mode="eval").body for text in FILLED)
    elif isinstance(spot, ast.List | ast.Tuple):
        kind = type(spot)
        for elements in (spot.elts[:-1], spot.elts[1:], spot.elts[::-1], spot.elts * 2):
            if len(elements) != len(spot.elts) or elements != spot.elts:
                yield kind(elts=list(elements), ctx=ast.Load())
    elif isinstance(spot, ast.Dict):
        for drop in range(len(spot.keys)):
            yield ast.Dict(
                keys=[k for n, k in enumerate(spot.keys) if n != drop],
                values=[v for n, v in enumerate(spot.values) if n != drop],
            )
    elif isinstance(spot, ast.Call):
        if len(spot.args) >= 2:
            for args in (spot.args[:-1], [*spot.args, spot.args[-1]], [*spot.args, spot.args[-2]]):
                yield ast.Call(func=spot.func, args=list(args), keywords=spot.keywords)
    elif isinstance(spot, ast.Constant):
        for value in _values(spot.value):
            yield ast.Constant(value)


def _values(value: object) -> tuple[bool | int | float | str, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return tuple(
            dict.fromkeys(v for v in (value + 1, value - 1, 0, value * 2, -value) if v != value)
        )
    if isinstance(value, float):
        return (value + 1, value / 2, 0.0, -value)
    if isinstance(value, str):
        half = len(value) // 2
        made = (
            value + "a",
            value[:-1],
            "",
            value.upper(),
            f"{value} {value}",
            f" {value}",
            value[:half],
            "zz",
        )
        return tuple(dict.fromkeys(v for v in made if v != value))
    return ()
