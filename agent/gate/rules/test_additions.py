"""What a reproduction may add to an existing test file: tests and what only they use.

That nothing existing is changed or removed is judged in `test_weakening`; this looks at what is
new: whether it shadows, disables or steers its neighbours, or runs something at import.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from agent.gate.changed import parsed

_HOOKS = re.compile(
    r"(?:setup|teardown)_?(?:module|function|class|method)?$|(?:setUp|tearDown)\w*$|pytest_\w+$"
    r"|pytestmark$|load_tests$|pytest_plugins$|__\w+__$|collect_ignore\w*$"
)
_STEERS = frozenset(
    {"globals", "setattr", "delattr", "exec", "eval", "exit", "_exit", "__import__", "vars"}
)
_MAKES = frozenset({"param", "date", "datetime", "timedelta", "compile"})
"""Calls by lower-case names that only make a value."""
_LINES = re.compile(r"\.(?:only|skip|todo)\b|\b[xf](?:it|describe)\(|/\*|\*/|\bprocess\.exit")


def addition_refusals(path: str, base: str, patched: str) -> tuple[str, ...]:
    """Why what was added to an existing test file is refused; empty if it is not."""
    if not path.endswith(".py"):
        return tuple(
            f"{path}: the added line `{line.strip()[:100]}` could disable other tests."
            for line in _added_lines(base, patched)
            if _LINES.search(line)
        )
    old, new = parsed(base), parsed(patched)
    if old is None or new is None:
        return (f"{path} cannot be parsed.",)
    return tuple(f"{path}: {reason}" for reason in _in_body(old.body, new.body, old, top=True))


def _added_lines(base: str, patched: str) -> list[str]:
    left = base.splitlines()
    added = []
    for line in patched.splitlines():
        if line in left:
            left.remove(line)
        else:
            added.append(line)
    return added


def _in_body(
    old: list[ast.stmt], new: list[ast.stmt], module: ast.Module, *, top: bool
) -> Iterator[str]:
    known = [ast.dump(node) for node in old]
    kept = {ast.dump(node) for node in new}
    named = {
        n.name: n
        for n in old
        if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.dump(n) not in kept
    }
    taken = {name for node in old for name in _bound(node)}
    for node in new:
        text = ast.dump(node)
        if text in known:
            known.remove(text)
            continue
        same = named.pop(node.name, None) if isinstance(node, ast.ClassDef) else None
        if isinstance(same, ast.ClassDef) and isinstance(node, ast.ClassDef):
            yield from _in_body(same.body, node.body, module, top=False)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in named:
            del named[node.name]  # an existing test that was changed, a parametrised one longer
            yield from _evaluated(node)
            continue
        yield from _insertion(node, taken, module, top=top)
        taken |= set(_bound(node))


def _insertion(node: ast.stmt, taken: set[str], module: ast.Module, *, top: bool) -> Iterator[str]:
    shown = ast.unparse(node).split("\n")[0][:80]
    for name in _bound(node):
        if name == "*" or name in taken or (top and hasattr(builtins, name)):
            yield f"`{shown}` shadows `{name}`."
        elif _HOOKS.match(name):
            yield f"`{shown}` changes how the tests beside it are run."
    if isinstance(node, ast.Import):
        return
    if isinstance(node, ast.ImportFrom):
        if node.module == "__future__":
            yield f"`{shown}` changes how the whole file is read."
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _function(node, module)
    elif isinstance(node, ast.ClassDef):
        yield from _class(node)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        plain = [t for t in _targets(node) if isinstance(t, ast.Name)]
        if len(plain) != len(_targets(node)) or any(map(_acts, ast.walk(node))):
            yield f"`{shown}` does something when the file is imported."
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield f"`{shown}` does something when the file is imported."


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[str]:
    used = {
        arg.arg
        for test in ast.walk(module)
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
        for arg in test.args.args
    }
    fixture = any("fixture" in ast.unparse(d) for d in node.decorator_list)
    if fixture and (
        node.name in used or any("autouse" in ast.unparse(d) for d in node.decorator_list)
    ):
        yield f"the new fixture `{node.name}` touches the tests beside it."
    yield from _evaluated(node)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Global | ast.Delete) or (
            isinstance(inner, ast.Call) and _name(inner.func) in _STEERS and not _patches(inner)
        ):
            yield f"`{ast.unparse(inner)[:80]}` in `{node.name}` could reach the tests beside it."


def _class(node: ast.ClassDef) -> Iterator[str]:
    if node.decorator_list or node.keywords:
        yield f"`class {node.name}` runs something when the file is imported."
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _evaluated(inner)
        elif isinstance(inner, ast.ClassDef):
            yield from _class(inner)
        elif any(map(_acts, ast.walk(inner))):
            yield f"`class {node.name}` does something when the file is imported."


def _evaluated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Decorators and defaults are evaluated when the file is imported."""
    arguments = [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            arguments += [*decorator.args, *(k.value for k in decorator.keywords)]
    for value in arguments:
        if any(map(_acts, ast.walk(value))):
            yield f"`{ast.unparse(value)[:80]}` does something when the file is imported."


def _acts(node: ast.AST) -> bool:
    """Whether evaluating a part of an expression may do more than make a value."""
    if isinstance(node, ast.Call):
        name = _name(node.func)
        return not (name[:1].isupper() or name in _MAKES or hasattr(builtins, name)) or (
            name in _STEERS or name in ("open", "print", "input")
        )
    return isinstance(node, ast.NamedExpr | ast.Await | ast.Yield)


def _patches(call: ast.Call) -> bool:
    """Whether it is undone by the fixture after the test."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("monkeypatch", "mocker")


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return list(node.targets) if isinstance(node, ast.Assign) else [node.target]


def _bound(node: ast.stmt) -> list[str]:
    """Names that a statement binds where it stands."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(a.asname or a.name).split(".")[0] for a in node.names]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not _is_load(n)]


def _is_load(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)
