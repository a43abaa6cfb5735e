"""Tables of test cases that got longer: in `parametrize`, in loops, in constants."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

_PASSED_ON = frozenset({"enumerate", "zip", "items", "values", "keys", "sorted", "list", "tuple"})
"""Calls through which a table is looped over."""


def has_more_cases(old: ast.expr, new: ast.expr) -> bool:
    """Whether an expression keeps all cases of its tables, in their order, and has more of them.

    Tables are displays: the expression itself, or what it passes to calls (`parametrize("n", [1])`,
    `enumerate([1])`, `{1: 2}.items()`). New cases may have no marks, which could skip others.
    """
    if isinstance(old, ast.Call) and isinstance(new, ast.Call):
        return (
            len(old.args) == len(new.args)
            and [k.arg for k in old.keywords] == [k.arg for k in new.keywords]
            and all(_kept(a, b) for a, b in zip(_parts(old), _parts(new), strict=True))
        )
    if isinstance(old, ast.Attribute) and isinstance(new, ast.Attribute):
        return old.attr == new.attr and _kept(old.value, new.value)
    return _longer(old, new)


def is_longer_table(old: ast.stmt, new: ast.stmt, scope: Iterable[ast.stmt]) -> bool:
    """Whether a table that has a name, and is only gone through in `scope`, has more cases."""
    name, before = _assigned(old)
    other, after = _assigned(new)
    if not name or name != other or before is None or after is None:
        return False
    return _longer(before, after) and _only_looped(name, scope)


def _kept(old: ast.expr, new: ast.expr) -> bool:
    return ast.dump(old) == ast.dump(new) or has_more_cases(old, new)


def _parts(call: ast.Call) -> list[ast.expr]:
    return [call.func, *call.args, *(k.value for k in call.keywords)]


def _longer(old: ast.expr, new: ast.expr) -> bool:
    had, has = _cases(old), _cases(new)
    if had is None or has is None or type(old) is not type(new) or len(has) <= len(had):
        return False
    kept = 0
    added = []
    for text, nodes in has:
        if kept < len(had) and had[kept][0] == text:
            kept += 1
        else:
            added += nodes
    return kept == len(had) and not any(_marked(node) for node in added)


def _cases(table: ast.expr) -> list[tuple[str, list[ast.expr]]] | None:
    if isinstance(table, ast.List | ast.Tuple | ast.Set):
        return [(ast.dump(element), [element]) for element in table.elts]
    if isinstance(table, ast.Dict):
        pairs = zip(table.keys, table.values, strict=True)
        return [
            (f"{ast.dump(k) if k is not None else '**'}: {ast.dump(v)}", [k or v, v])
            for k, v in pairs
        ]
    return None


def _marked(case: ast.expr) -> bool:
    return any(
        (isinstance(node, ast.keyword) and node.arg == "marks")
        or (isinstance(node, ast.Attribute) and node.attr == "mark")
        for node in ast.walk(case)
    )


def _assigned(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    else:
        return "", None
    return (target.id if isinstance(target, ast.Name) else ""), statement.value


def _only_looped(name: str, scope: Iterable[ast.stmt]) -> bool:
    """Whether a name is read nowhere but as what is looped over or parametrises."""
    whole = ast.Module(body=list(scope), type_ignores=[])
    looped: set[int] = set()
    for node in ast.walk(whole):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            looped |= _handed_over(node.iter)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.parametrize"):
            looped |= {n for argument in node.args[1:] for n in _handed_over(argument)}
    read = [
        node
        for node in ast.walk(whole)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]
    return bool(read) and all(id(node) in looped for node in read)


def _handed_over(expression: ast.expr) -> set[int]:
    """The names in a loop's iterable that stand for what is looped over."""
    if isinstance(expression, ast.Name):
        return {id(expression)}
    if isinstance(expression, ast.Call):
        function = expression.func
        called = function.id if isinstance(function, ast.Name) else ""
        owner: Sequence[ast.expr] = ()
        if isinstance(function, ast.Attribute):
            called, owner = function.attr, (function.value,)
        if called in _PASSED_ON:
            return {n for part in (*owner, *expression.args) for n in _handed_over(part)}
    return set()
