"""Functions of which a patch changes a part, judged as a whole and compared with the base's.

A handler that is emptied has no added line that says so: what counts is whether the function
swallows more than it did.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from agent.gate.patch.changed_file import ChangedFile, Function, functions, statements

_BROAD = frozenset(
    {"", "Exception", "BaseException", "TimeoutError", "TimeoutExpired", "AssertionError"}
    | {"SystemExit", "KeyboardInterrupt", "CancelledError"}
)


def function_refusals(file: ChangedFile) -> tuple[str, ...]:
    """Why a file's functions are refused; empty if they are not."""
    if file.is_test:
        return ()
    if not file.path.endswith(".py"):
        return tuple(_equalities_by_text(file))
    tree, base = file.plain_patched, file.plain_base
    if tree is None:
        return ()
    before = {name: _swallowing(f, base) for name, f in functions(base)} if base else {}
    found = []
    for name, function in functions(tree):
        now = _swallowing(function, tree)
        if len(now) > len(before.get(name, [])):
            known = [what for what, _ in before.get(name, [])]
            line = next((at for what, at in now if what not in known), now[-1][1])
            found.append(
                f"{file.path}:{line}: {name} swallows every exception without a trace, which it "
                "did not do before."
            )
    known_eq = {ast.unparse(e) for e in _equalities(base)} if base else set()
    found += [
        f"{file.path}:{e.lineno}: {e.name} does not say whether it is equal to what it looks at."
        for e in _equalities(tree)
        if ast.unparse(e) not in known_eq
    ]
    return tuple(found)


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions in it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            yield node
            yield from _own(node)


def _swallowing(function: Function, module: ast.Module) -> list[tuple[str, int]]:
    """Broad handlers that do nothing, and `finally` that ends in a `return`; with their lines."""
    found = []
    for node in _own(function):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type, module):
            told = any(isinstance(n, ast.Name) and n.id == node.name for n in _own(node))
            if not told and all(_idle(statement) for statement in node.body):
                found.append((ast.unparse(node), node.lineno))
        elif isinstance(node, ast.Try):
            found += [
                (f"finally {ast.unparse(inner)}", inner.lineno)
                for inner in node.finalbody
                if any(isinstance(n, ast.Return) for n in (inner, *_own(inner)))
            ]
    return found


def _is_broad(kind: ast.expr | None, module: ast.Module) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(part, module) for part in kind.elts)
    name = ast.unparse(kind).rpartition(".")[2] if kind is not None else ""
    if name in _BROAD:
        return True
    values = [
        statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == name for t in statement.targets)
    ]
    return any(
        _is_broad(value, module)
        for value in values
        if not (isinstance(value, ast.Name) and value.id == name)
    )


def _idle(statement: ast.stmt) -> bool:
    """Whether a statement leaves nothing that tells of an exception."""
    match statement:
        case ast.Pass() | ast.Continue() | ast.Break() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Return(value=value) | ast.Assign(value=value):
            return value is None or not any(
                isinstance(n, ast.Call | ast.Raise | ast.Await) for n in ast.walk(value)
            )
        case _:
            return False


def _equalities(tree: ast.Module) -> list[ast.FunctionDef]:
    """Equalities that do not say whether two objects are equal.

    They ask no more of the other object than whether it is of some class (of the class itself is
    well: its objects may all be the same), compare it otherwise than for equality, or replace that
    of numbers and containers, which know it better.
    """
    found = []
    for kind in (n for n in statements(tree) if isinstance(n, ast.ClassDef)):
        bases = {ast.unparse(base).rpartition(".")[2] for base in kind.bases}
        for node in kind.body:
            named = isinstance(node, ast.FunctionDef) and node.name in ("__eq__", "__ne__")
            if not named or not isinstance(node, ast.FunctionDef) or len(node.args.args) != 2:
                continue
            other = node.args.args[1].arg
            asked = [n for n in ast.walk(node) if _asks_class(n, other)]
            inside = {id(part) for n in asked for part in ast.walk(n)}
            looked = any(
                isinstance(n, ast.Name) and n.id == other and id(n) not in inside
                for statement in node.body
                for n in ast.walk(statement)
            )
            own = {kind.name, "type(self)", "self.__class__", "__class__"}
            of_class = not looked and asked and not any(_classes(n) & own for n in asked)
            replaces = bases & _VALUES and "__eq__(" not in ast.unparse(ast.Module(node.body, []))
            if of_class or replaces or (looked and not _compares_for_equality(node, other)):
                found.append(node)
    return found


_VALUES = frozenset(
    {"int", "float", "complex", "Decimal", "Fraction", "list", "tuple", "dict", "set", "frozenset"}
)
_EQUAL = ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn
_ORDERS = ast.Lt | ast.LtE | ast.Gt | ast.GtE
_CONVERTS = frozenset(
    {"bool", "int", "float", "complex", "str", "len", "abs", "id", "type", "repr"}
)


def _compares_for_equality(function: ast.FunctionDef, other: str) -> bool:
    """Whether the other object is compared for equality (perhaps nearly), and not by order."""
    equal = False
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) not in _CONVERTS:
            # Another function is asked, which is judged where it stands.
            equal = equal or any(ast.unparse(a) == other for a in node.args)
        if not isinstance(node, ast.Compare):
            continue
        ordered = any(isinstance(op, _ORDERS) for op in node.ops)
        distance = any(
            isinstance(n, ast.Call) and ast.unparse(n.func).rpartition(".")[2] in ("abs", "fabs")
            for n in ast.walk(node)
        )
        if ordered and not distance and other in {ast.unparse(n) for n in ast.walk(node)}:
            return False
        equal = equal or distance or any(isinstance(o, _EQUAL) for o in node.ops)
    return equal


_COMPARES = re.compile(
    r"\bfn\s+(?P<rust>eq|ne|cmp|partial_cmp)\s*\(\s*&self\s*,\s*(?P<a>\w+)\s*:[^)]*\)[^{;]*\{"
    r"|\b(?:boolean|bool)\s+[eE]quals\s*\(\s*(?:final\s+)?[\w.<>?\[\]]+\s+(?P<b>\w+)\s*\)[^{;]*\{"
    r"|\b(?:fun|def)\s+equals\s*\(\s*(?P<c>\w+)\s*:[^)]*\)[^{;]*?(?:\{|=)"
    r"|\bbool\s+operator\s*[=!]=\s*\([^),]*?(?P<d>\w+)\s*\)[^{;]*\{"
)
"""Where Rust, Java, C#, Kotlin, Scala and C++ say whether, or how, two values compare."""


def _equalities_by_text(file: ChangedFile) -> Iterator[str]:
    """Equalities of other languages that do not look at their operand, or at its class alone."""
    patched = file.patched or ""
    for found in _COMPARES.finditer(patched):
        body = _block(patched, found.end())
        if f"{found[0]}{body}" in (file.base or ""):
            continue
        other = next(found[name] for name in ("a", "b", "c", "d") if found[name])
        own = PurePosixPath(file.path).stem
        asked = rf"\b{other}\s*(?:instanceof|is)\s+(?!{own}\b)\w+(?!\s*\w)"
        if other == "_" or not re.search(rf"\b{other}\b", re.sub(asked, "", body)):
            number = patched.count("\n", 0, found.start()) + 1
            name = found["rust"] or "an equality"
            yield f"{file.path}:{number}: {name} does not look at what it compares with."


def _block(text: str, start: int) -> str:
    """The text from behind an opening brace to its closing one; a line where there is no brace."""
    if text[start - 1] != "{":
        return text[start:].partition("\n")[0]
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start : at + 1]
    return text[start:]


def _asks_class(node: ast.AST, other: str) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    asks = ast.unparse(node.func) in ("isinstance", "type", "hasattr", "callable", "issubclass")
    return asks and ast.unparse(node.args[0]) == other


def _classes(node: ast.AST) -> set[str]:
    if not isinstance(node, ast.Call) or len(node.args) < 2:
        return set()
    kinds = node.args[1]
    listed = kinds.elts if isinstance(kinds, ast.Tuple) else [kinds]
    return {ast.unparse(k) for k in listed}
