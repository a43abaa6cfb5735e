"""What a submission may do to a Python test that it says contradicts the issue.

The test may say something else, under another name, with other cases and fixtures; but it stays a
test that asserts as much, and does nothing that others see.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agent.gate.rules.statements import asserts, can_end, shown, shown_whole

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_REACHING = frozenset(
    {
        "globals",
        "vars",
        "locals",
        "eval",
        "exec",
        "compile",
        "setattr",
        "delattr",
        "sys",
        "os",
        "gc",
        "ctypes",
        "importlib",
        "builtins",
        "patch",
        "monkeypatch",
        "modules",
        "mock",
        "inspect",
        "atexit",
        "signal",
        "threading",
        "subprocess",
    }
)
"""Names by which a test gets at more than what it tests."""
_OWN_FIXTURES = frozenset({"capsys", "capfd", "caplog", "recwarn", "tmp_path", "monkeypatch"})
"""Of pytest: what they do is undone at the test's end."""
_PATCH_BLOCK = re.compile(r"(?:(?:unittest\.)?mock\.)?patch(?:\.object|\.dict|\.multiple)?")


@dataclass(frozen=True, slots=True)
class ContestedEdits:
    """What a submission may do to tests that it names as contradicting the issue."""

    tests: frozenset[str] = frozenset()
    fixtures: frozenset[str] = frozenset()
    """Arguments that such a test may take: those that tests of its file take already, fixtures that
    the file defines, and pytest's own that leave no trace."""


def contested_edits(
    tests: Collection[str], before: ast.Module, after: ast.Module
) -> ContestedEdits:
    """What a submission may do to a file in which it contests these tests (`TestA.test_b`)."""
    fixtures = _fixtures(before) | _new_fixtures(after) if tests else frozenset()
    return ContestedEdits(frozenset(tests), fixtures)


def _fixtures(module: ast.Module) -> frozenset[str]:
    """The arguments that the test functions of a file take."""
    return _OWN_FIXTURES | {
        argument.arg
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
        for argument in node.args.args
    }


def _new_fixtures(module: ast.Module) -> frozenset[str]:
    """The fixtures that a file defines; what they may do is judged where they are added."""
    found: set[object] = set()
    for node in module.body:
        if not isinstance(node, _Function):
            continue
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if shown_whole(called).rpartition(".")[2] == "fixture":
                options = decorator.keywords if isinstance(decorator, ast.Call) else []
                named = [k.value for k in options if k.arg == "name"]
                found |= {n.value for n in named if isinstance(n, ast.Constant)} or {node.name}
    return frozenset(name for name in found if isinstance(name, str))


def contested_refusals(
    old: _Function, new: _Function, name: str, fixtures: frozenset[str]
) -> Iterator[str]:
    """Why an edit of a contested test is refused: it may say something else, but stays a test and
    reaches nothing but itself."""
    taken = fixtures | {name for d in new.decorator_list for name in _parameters(d)}
    if ast.dump(old.args) != ast.dump(new.args) and not _takes_only(new, taken):
        yield f"the arguments or fixtures of {name} were changed."
    kept, left = (
        [ast.dump(d) for d in test.decorator_list if not _parameters(d)] for test in (old, new)
    )
    if kept != left:
        yield f"the decorators of {name} were changed in more than their cases."
    for decorator in new.decorator_list:
        known = ast.dump(decorator) in {ast.dump(d) for d in old.decorator_list}
        if not known and (
            _reaches_out(ast.Expr(value=decorator)) or "mark" in _cases_of(decorator)
        ):
            yield f"the cases of {name} do more than name values."
    if sum(asserts(s) for s in new.body) < sum(asserts(s) for s in old.body):
        yield f"{name} asserts less than before."
    had = {ast.dump(s) for s in old.body}
    own = _filled(old) | _literals(new)
    for statement in map(_without_undone_patches, new.body):
        if ast.dump(statement) not in had and (can_end(statement) or _reaches_out(statement, own)):
            yield f"{name} has a new statement that could disable tests: `{shown(statement)}`."


class _UndonePatches(ast.NodeTransformer):
    """Takes away what a test patches for a block of its own: it is undone at the block's end."""

    def visit_withitem(self, node: ast.withitem) -> ast.withitem:
        call = node.context_expr
        if isinstance(call, ast.Call) and _PATCH_BLOCK.fullmatch(shown_whole(call.func)):
            values = ast.Tuple(elts=[*call.args, *(k.value for k in call.keywords)], ctx=ast.Load())
            return ast.withitem(context_expr=values, optional_vars=node.optional_vars)
        return node


def _without_undone_patches(statement: ast.stmt) -> ast.stmt:
    return _UndonePatches().visit(copy.deepcopy(statement))  # type: ignore[no-any-return]


def _takes_only(test: _Function, fixtures: frozenset[str]) -> bool:
    """Whether a test's arguments are plain ones, without values of their own."""
    args = test.args
    special = (args.posonlyargs, args.kwonlyargs, args.defaults, args.vararg, args.kwarg)
    return not any(special) and {a.arg for a in args.args} <= fixtures


def _parameters(decorator: ast.expr) -> tuple[str, ...]:
    """The arguments that a plain `parametrize` gives; empty for any other decorator."""
    if not isinstance(decorator, ast.Call) or not decorator.args:
        return ()
    names, options = decorator.args[0], {k.arg for k in decorator.keywords}
    if not shown(decorator.func).endswith("mark.parametrize") or not options <= {"ids"}:
        return ()
    parts = names.elts if isinstance(names, ast.List | ast.Tuple) else [names]
    texts = [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
    return tuple(name.strip() for text in texts for name in text.split(","))


def _cases_of(decorator: ast.expr) -> str:
    values = decorator.args[1:] if isinstance(decorator, ast.Call) else []
    return " ".join(shown_whole(value) for value in values)


def _filled(test: _Function) -> frozenset[str]:
    """The names whose items or attributes a test sets."""
    stores = (
        node
        for node in ast.walk(test)
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
    )
    return frozenset(node.value.id for node in stores if isinstance(node.value, ast.Name))


def _literals(test: _Function) -> frozenset[str]:
    """The names that a test gives to lists, sets and dictionaries which it writes down, and only
    to such."""
    bound: dict[str, bool] = {a.arg: False for a in test.args.args}
    for node in ast.walk(test):
        if isinstance(node, ast.Assign):
            written = isinstance(node.value, ast.List | ast.Set | ast.Dict)
            for name in (t.id for t in node.targets if isinstance(t, ast.Name)):
                bound[name] = bound.get(name, True) and written
        elif isinstance(node, ast.stmt | ast.withitem | ast.NamedExpr):
            for part in ast.iter_child_nodes(node):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    bound[part.id] = False
    return frozenset(name for name, written in bound.items() if written)


def _reaches_out(statement: ast.stmt, own: Collection[str] = ()) -> bool:
    """Whether a statement could change what other tests see; items of `own` names are its own."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Global | ast.Nonlocal | ast.Delete | ast.Try | ast.ClassDef):
            return True
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            item = node.value if isinstance(node, ast.Subscript) else None
            if not (isinstance(item, ast.Name) and item.id in own):
                return True
        if isinstance(node, ast.Name | ast.Attribute):
            named = node.id if isinstance(node, ast.Name) else node.attr
            if named in _REACHING or named.startswith("__"):
                return True
        if isinstance(node, ast.alias) and node.name.partition(".")[0] in _REACHING:
            return True
    return False
