"""Whether code that runs when a test file is imported may do more than make a value."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable
from dataclasses import dataclass

_MAKES = frozenset({"param", "date", "datetime", "timedelta", "compile"})
"""Calls by lower-case names that only make a value, wherever they come from."""
_STEERS = frozenset(
    {"globals", "locals", "vars", "setattr", "delattr", "exec", "eval", "exit", "quit", "_exit"}
    | {"__import__", "open", "print", "input", "breakpoint", "next", "skip", "importorskip", "fail"}
    | {"set_trace", "patch", "start", "stop", "reload", "register", "settrace", "addaudithook"}
)
_CHANGES = frozenset(
    {"append", "extend", "insert", "remove", "pop", "popitem", "clear", "update", "setdefault"}
    | {"add", "discard", "write", "writelines", "write_text", "write_bytes", "unlink", "mkdir"}
)
"""Methods that change what they are called on."""
_VALUES = frozenset({*dir(str), *dir(bytes), *dir(int)})
_REACHING = frozenset(
    {"os", "sys", "subprocess", "shutil", "atexit", "signal", "gc", "ctypes", "importlib"}
    | {"builtins", "threading", "multiprocessing", "inspect", "unittest", "mock", "socket"}
    | {"warnings", "logging", "runpy", "site", "faulthandler", "_pytest", "pluggy", "monkeypatch"}
)
_HARMLESS = ("os.path.", "os.environ.get", "os.getenv", "sys.getsizeof", "sys.intern")
_PYTEST = ("pytest.mark.", "pytest.param", "pytest.approx", "pytest.raises", "pytest.fixture")
_UNITTEST = ("unittest.skip", "unittest.expectedFailure")


@dataclass(frozen=True, slots=True)
class Names:
    """What a changed file's names stand for."""

    before: dict[str, str]
    """Names of the base's top level, with the module that each was imported from."""
    imported: dict[str, str]
    """Names that any import of the patched text binds, likewise."""

    def origin(self, name: str) -> str:
        """Where a name comes from; the name itself where that is not known."""
        return self.before.get(name) or self.imported.get(name) or name


def names_of(base: ast.Module, patched: ast.Module) -> Names:
    """The names of a file on both sides of its change."""
    defined = {n.name: n.name for n in base.body if isinstance(n, ast.FunctionDef)}
    return Names(
        before=defined | _imports(base.body),
        imported=_imports(n for n in ast.walk(patched) if isinstance(n, ast.stmt)),
    )


def acts(node: ast.AST, names: Names) -> bool:
    """Whether evaluating something in a file may do more than make a value.

    Calls are held to be harmless where they make objects of classes, text or numbers, or call what
    the file used before; other calls are not.
    """
    return any(_acts(inner, names) for inner in _evaluated(node))


def decorates_harmlessly(decorator: ast.expr, names: Names) -> bool:
    """Whether a decorator reaches nothing but what it decorates; its arguments are not judged."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    whole = ast.unparse(function)
    origin = names.origin(whole.partition(".")[0]).partition(".")[0]
    return origin in ("unittest", "mock") or (
        origin not in _REACHING and whole.rpartition(".")[2] not in _STEERS and ".__" not in whole
    )


def _evaluated(node: ast.AST) -> list[ast.AST]:
    """The parts that are evaluated at once: not the bodies of lambdas."""
    found = [node]
    for child in ast.iter_child_nodes(node):
        if not isinstance(node, ast.Lambda) or child is node.args:
            found += _evaluated(child)
    return found


def _imports(nodes: Iterable[ast.stmt]) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {(a.asname or a.name).partition(".")[0]: a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module or ''}.{a.name}" for a in node.names}
    return found


def _acts(node: ast.AST, names: Names) -> bool:
    if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
        return True
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else ""
    name = function.id if isinstance(function, ast.Name) else name
    whole = ast.unparse(function)
    root = whole.partition(".")[0].partition("(")[0]
    origin = names.origin(root)
    written = f"{origin}{whole.removeprefix(root)}"
    if name in _STEERS or name in _CHANGES or ".__" in whole:
        return True
    if written.startswith((*_HARMLESS, *_PYTEST, *_UNITTEST)):
        return False
    if origin.partition(".")[0] in (*_REACHING, "pytest"):
        return True
    if name[:1].isupper() or name in _MAKES or (isinstance(function, ast.Name) and _builtin(name)):
        return False
    if isinstance(function, ast.Attribute) and not isinstance(function.value, ast.Name):
        # A method of a value that was judged itself (`"".join`, `a.b().c()`).
        return name not in _VALUES and root not in names.before
    return root not in names.before


def _builtin(name: str) -> bool:
    return hasattr(builtins, name)
