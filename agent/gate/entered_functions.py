"""Which tests can notice that a hunk is missing: those that enter the functions it changes.

What a run tells of the functions that its tests entered comes from a sandbox, and the patched code
could forge it. It only ever saves runs: the answer decides which hunks are listed as exercised by
no test, never whether a patch is proven.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence

from agent.gate.compare import file_of
from agent.gate.patch.changed_file import parsed
from agent.testing.report import Entered, Function, SuiteRun

_MOST_NAMED = 200
"""Up to here tests are named one by one: a command's length has a limit."""
_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod", "property", "override"})
"""With others (a cache, a registry) a function can matter to a test that does not enter it."""

_Definition = ast.FunctionDef | ast.AsyncFunctionDef


def changed_functions(one: str | None, other: str | None) -> tuple[range, ...] | None:
    """The functions, as their lines in `one`, whose bodies are all that two Python texts differ in.

    None where they differ elsewhere too (a signature, a docstring, a module's or class's own
    statements), or where a test could depend on such a function without entering it.
    """
    left, right = parsed(one), parsed(other)
    if left is None or right is None:
        return None
    ours, theirs = _outermost(left), _outermost(right)
    changed = [
        (function, _lines(function))
        for function, counterpart in zip(ours, theirs, strict=False)
        if _body(function) != _body(counterpart)
    ]
    for function in (*ours, *theirs):
        function.body = function.body[:1] if ast.get_docstring(function, clean=False) else []
    if len(ours) != len(theirs) or ast.dump(left) != ast.dump(right):
        return None
    if not changed or not all(_is_plain(function) for function, _ in changed):
        return None
    return tuple(lines for _, lines in changed)


def entering_tests(
    run: SuiteRun, files: Collection[str] | None, path: str, functions: Sequence[range]
) -> tuple[str, ...] | None:
    """The tests of a run, in some files (None: all), that may enter one of these functions.

    None where that is not known, or where whole files are simpler to run.
    """
    entered = run.entered
    if entered is None or path not in entered.files:
        return None
    if _holds_one(entered.outside_of_tests, path, functions):
        return None
    tests = [r.name for r in run.results if files is None or file_of(r.name) in files]
    chosen = tuple(name for name in tests if _may_enter(entered, name, path, functions))
    if len(chosen) > _MOST_NAMED or any("\n" in name for name in chosen):
        return None
    return chosen


def _may_enter(entered: Entered, test: str, path: str, functions: Sequence[range]) -> bool:
    known = entered.by_test.get(test)
    return known is None or _holds_one(known, path, functions)


def _holds_one(entered: Collection[Function], path: str, functions: Sequence[range]) -> bool:
    return any(p == path and any(line in lines for lines in functions) for p, line in entered)


def _outermost(node: ast.AST) -> list[_Definition]:
    """The functions that no other function holds, in their order."""
    found: list[_Definition] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(child)
        else:
            found += _outermost(child)
    return found


def _body(function: _Definition) -> list[str]:
    return [ast.dump(statement) for statement in function.body]


def _lines(function: _Definition) -> range:
    """From its first decorator, where Python says that it begins, to its end."""
    first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    return range(first, (function.end_lineno or function.lineno) + 1)


def _is_plain(function: _Definition) -> bool:
    return all(
        (isinstance(d, ast.Name) and d.id in _PLAIN_DECORATORS)
        or (isinstance(d, ast.Attribute) and d.attr in ("setter", "getter", "deleter"))
        for d in function.decorator_list
    )
