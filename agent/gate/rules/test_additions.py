"""What a reproduction may add to an existing test file: tests and what only they use.

That nothing existing is changed or removed is judged in `test_weakening`; this looks at what is
new: whether it shadows, disables or steers its neighbours, or runs something at import.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.gate.patch.changed_file import parsed
from agent.gate.rules.case_tables import is_longer_table
from agent.gate.rules.import_time import Names, acts, decorates_harmlessly, names_of
from agent.gate.rules.python_tests import bound_names, import_origins
from agent.testing.paths import is_code

_HOOKS = re.compile(
    r"(?:setup|teardown)_?(?:module|function|class|method)?$|(?:setUp|tearDown)\w*$|pytest_\w+$"
    r"|pytestmark$|load_tests$|pytest_plugins$|__\w+__$|collect_ignore\w*$"
)
_STEERS = frozenset({"globals", "setattr", "delattr", "exec", "eval", "__import__", "vars"})
_ENDS = frozenset({"exit", "_exit"})
_LINES = re.compile(r"\.(?:only|skip|todo)\b|\b[xf](?:it|describe)\(|/\*|\*/|\bprocess\.exit")


def addition_refusals(path: str, base: str, patched: str) -> tuple[str, ...]:
    """Why what was added to an existing test file is refused; empty if it is not."""
    if not is_code(path):
        return ()
    if not path.endswith(".py"):
        return tuple(
            f"{path}: the added line `{line.strip()[:100]}` could disable other tests."
            for line in _added_lines(base, patched)
            if _LINES.search(line)
        )
    old, new = parsed(base), parsed(patched)
    if old is None or new is None:
        return (f"{path} cannot be parsed.",)
    scope = _Scope(module=old, names=names_of(old, new))
    return tuple(f"{path}: {reason}" for reason in _in_body(old.body, new.body, scope, top=True))


@dataclass(frozen=True, slots=True)
class _Scope:
    """The file that is added to."""

    module: ast.Module
    names: Names


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
    old: list[ast.stmt], new: list[ast.stmt], scope: _Scope, *, top: bool
) -> Iterator[str]:
    known = [ast.dump(node) for node in old]
    kept = {ast.dump(node) for node in new}
    named = {
        n.name: n
        for n in old
        if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.dump(n) not in kept
    }
    taken = {name for node in old for name in bound_names(node)}
    origins = {origin for node in old for origin in import_origins(node).items()}
    for node in new:
        text = ast.dump(node)
        if text in known:
            known.remove(text)
            continue
        same = named.pop(node.name, None) if isinstance(node, ast.ClassDef) else None
        if isinstance(same, ast.ClassDef) and isinstance(node, ast.ClassDef):
            yield from _in_body(same.body, node.body, scope, top=False)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in named:
            del named[node.name]  # an existing test that was changed, a parametrised one longer
            yield from _evaluated(node, scope)
            yield from _reaching(node, scope)
            continue
        if any(is_longer_table(table, node, (*old, *new)) for table in old):
            yield from _assigned(node, scope)
            continue
        again = {name for name, origin in import_origins(node).items() if (name, origin) in origins}
        yield from _insertion(node, taken - again, scope, top=top)
        taken |= set(bound_names(node))


def _insertion(node: ast.stmt, taken: set[str], scope: _Scope, *, top: bool) -> Iterator[str]:
    shown = _shown(node)
    for name in bound_names(node):
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
        yield from _function(node, scope)
    elif isinstance(node, ast.ClassDef):
        yield from _class(node, scope)
    elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        yield from _assigned(node, scope)


def _assigned(node: ast.stmt, scope: _Scope) -> Iterator[str]:
    """A statement that may only give names to values."""
    targets = _targets(node) if isinstance(node, ast.Assign | ast.AnnAssign) else []
    plain = [t for t in targets if isinstance(t, ast.Name)]
    if not targets or len(plain) != len(targets) or acts(node, scope.names):
        yield f"`{_shown(node)}` does something when the file is imported."


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> Iterator[str]:
    used = {
        arg.arg
        for test in ast.walk(scope.module)
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef)
        for arg in test.args.args
    }
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if ast.unparse(called).rpartition(".")[2].endswith("fixture") and _touches(
            decorator, node.name, used
        ):
            yield f"the new fixture `{node.name}` touches the tests beside it."
    yield from _evaluated(node, scope)
    yield from _reaching(node, scope)


def _touches(fixture: ast.expr, name: str, used: set[str]) -> bool:
    """Whether a fixture is one that existing tests ask for, or need not ask for."""
    options = {k.arg: k.value for k in fixture.keywords} if isinstance(fixture, ast.Call) else {}
    named = options.get("name", ast.Constant(name))
    return (
        "autouse" in options
        or None in options
        or not isinstance(named, ast.Constant)
        or named.value in used
    )


def _reaching(node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> Iterator[str]:
    """What in a function could change the tests beside it, when it is run."""
    local = {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
    local |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not _is_load(n)}
    imported = {
        name
        for part in (*scope.module.body, *ast.walk(node))
        if isinstance(part, ast.Import | ast.ImportFrom)
        for name in bound_names(part)
    }
    shared = (imported | {name for part in scope.module.body for name in bound_names(part)}) - (
        local - imported
    )
    for inner in ast.walk(node):
        if (
            isinstance(inner, ast.Global)
            or (isinstance(inner, ast.Call) and _steers(inner))
            or (
                isinstance(inner, ast.Attribute | ast.Subscript)
                and not isinstance(inner.ctx, ast.Load)
                and (_root(inner) in shared or _DUNDER.search(ast.unparse(inner)))
            )
        ):
            yield f"`{ast.unparse(inner)[:80]}` in `{node.name}` could reach the tests beside it."


_DUNDER = re.compile(r"\.__\w+__\b")


def _root(node: ast.expr) -> str:
    """The name at the left of a chain of attributes, items and calls."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _steers(call: ast.Call) -> bool:
    name = _name(call.func)
    if _patches(call):
        return False
    owned = isinstance(call.func, ast.Attribute)
    return name in _ENDS or (name in _STEERS and (not owned or _root(call.func) == "builtins"))


def _class(node: ast.ClassDef, scope: _Scope) -> Iterator[str]:
    if node.keywords or any(acts(part, scope.names) for part in node.bases):
        yield f"`class {node.name}` does something when the file is imported."
    yield from _evaluated(node, scope)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _evaluated(inner, scope)
            yield from _reaching(inner, scope)
        elif isinstance(inner, ast.ClassDef):
            yield from _class(inner, scope)
        elif acts(inner, scope.names):
            yield f"`class {node.name}` does something when the file is imported."


def _evaluated(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: _Scope
) -> Iterator[str]:
    """Decorators and defaults are evaluated when the file is imported."""
    values: list[ast.expr] = []
    if not isinstance(node, ast.ClassDef):
        values += [d for d in (*node.args.defaults, *node.args.kw_defaults) if d is not None]
    for decorator in node.decorator_list:
        if not decorates_harmlessly(decorator, scope.names):
            yield f"`@{ast.unparse(decorator)[:80]}` does something when the file is imported."
        call = decorator if isinstance(decorator, ast.Call) else None
        values += [*call.args, *(k.value for k in call.keywords)] if call is not None else []
    for value in values:
        if acts(value, scope.names):
            yield f"`{ast.unparse(value)[:80]}` does something when the file is imported."


def _patches(call: ast.Call) -> bool:
    """Whether it is undone by the fixture after the test."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id in ("monkeypatch", "mocker")


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _shown(node: ast.stmt) -> str:
    return ast.unparse(node).split("\n")[0][:80]


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return list(node.targets) if isinstance(node, ast.Assign) else [node.target]


def _is_load(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)
