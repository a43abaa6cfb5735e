"""Whether a change to a Python test file weakens its existing tests, by syntax tree.

What is there stays as it is; a patch may add tests, imports and definitions. An existing test may
gain statements that cannot end or skip it, and cases in the tables that it goes through.
"""

from __future__ import annotations

import ast
import re
import unittest
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from agent.gate.rules.case_tables import has_more_cases, is_longer_table
from agent.gate.rules.contested_edits import ContestedEdits, contested_edits, contested_refusals
from agent.gate.rules.renamed_tests import renamed_tests
from agent.gate.rules.statements import asserts, can_end, shown

_Def = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MOST_PAIRS = 50_000

_PATCHING = frozenset({"patch", "monkeypatch", "mocker", "mock", "modules", "builtins"})
"""Names by which a test changes what the statements behind see."""
_SKIPS = ("skip", "xfail", "expectedFailure", "importorskip", "exit")
_SPECIAL_NAMES = frozenset(
    {
        "setUp",
        "tearDown",
        "setUpClass",
        "tearDownClass",
        "asyncSetUp",
        "asyncTearDown",
        "setup_method",
        "setup_class",
        "teardown_method",
        "setup_function",
        "setup_module",
        "setup",
        "teardown",
        "run",
        "debug",
        "id",
        "__test__",
        "__init_subclass__",
        "__getattribute__",
        "__init__",
        "pytestmark",
        "pytest_plugins",
        "collect_ignore",
        "collect_ignore_glob",
        "load_tests",
        "setUpModule",
        "tearDownModule",
        "__getattr__",
    }
)


def python_weakening(
    path: str, base: str, patched: str, contested: Collection[str] = ()
) -> tuple[str, ...]:
    """Why the patched text of an existing test file is refused; empty if it is not.

    `contested`: names (`TestA.test_b`) of tests that may say something else.
    """
    bodies = _parsed(base, patched)
    if bodies is None:
        same = base == patched
        return () if same else (f"{path} cannot be parsed, so its change cannot be judged.",)
    before, after = bodies
    allowed = contested_edits(contested, before, after)
    return tuple(
        dict.fromkeys(f"{path}: {r}" for r in _bodies(before.body, after.body, "", allowed))
    )


def changed_tests(base: str, patched: str) -> tuple[str, ...]:
    """Existing tests that the patched text edits or renames (`TestA.test_b`)."""
    bodies = _parsed(base, patched)
    return () if bodies is None else tuple(_changed(bodies[0].body, bodies[1].body, ""))


def new_names(base: str, patched: str) -> dict[str, str]:
    """The new names of tests that the patched text renames, by the old (`TestA.test_b`)."""
    bodies = _parsed(base, patched)
    return {} if bodies is None else dict(_renamed(bodies[0].body, bodies[1].body, ""))


def inherited_tests(base: str) -> dict[str, str]:
    """Where the tests that a file's classes inherit are written: `TestA.test_b`, `Mixin.test_b`.

    Only classes of the same file are looked at. A file with very many of both gives nothing.
    """
    both = _parsed(base, base)
    if both is None:
        return {}
    classes = {n.name: n for n in both[0].body if isinstance(n, ast.ClassDef)}
    own = {
        name: {n.name for n in node.body if isinstance(n, _Function) and n.name.startswith("test")}
        for name, node in classes.items()
    }
    tests = set[str]().union(*own.values())
    if len(classes) * len(tests) > _MOST_PAIRS:
        return {}
    found = {}
    for name in classes:
        order = _with_bases(name, classes)
        for test in tests - own[name]:
            writer = next((n for n in order if test in own[n]), None)
            if writer is not None:
                found[f"{name}.{test}"] = f"{writer}.{test}"
    return found


def _with_bases(name: str, classes: Mapping[str, ast.ClassDef]) -> list[str]:
    """A class and those of the same file that it inherits from, the nearest and leftmost first."""
    order: dict[str, None] = {}
    left = [name]
    while left:
        one = left.pop()
        if one in classes and one not in order:
            order[one] = None
            left += [b.id for b in reversed(classes[one].bases) if isinstance(b, ast.Name)]
    return list(order)


def _parsed(base: str, patched: str) -> tuple[ast.Module, ast.Module] | None:
    try:
        return ast.parse(base), ast.parse(patched)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _renamed(
    before: Sequence[ast.stmt], after: Sequence[ast.stmt], where: str
) -> Iterator[tuple[str, str]]:
    for old, new in renamed_tests(before, after).items():
        yield f"{where}{old}", f"{where}{new}"
    now = _named(after)
    for name, node in _named(before).items():
        same = now.get(name)
        if isinstance(node, ast.ClassDef) and isinstance(same, ast.ClassDef):
            yield from _renamed(node.body, same.body, f"{where}{name}.")


def _changed(before: Sequence[ast.stmt], after: Sequence[ast.stmt], where: str) -> Iterator[str]:
    new, renamed = _named(after), renamed_tests(before, after)
    for name, node in _named(before).items():
        now = new.get(name)
        if name in renamed:
            yield f"{where}{name}"
            continue
        if isinstance(node, ast.ClassDef) and isinstance(now, ast.ClassDef):
            yield from _changed(node.body, now.body, f"{where}{name}.")
        elif (
            name.startswith("test")
            and now is not None
            and type(now) is type(node)
            and any(_definition(node, now, name, ContestedEdits()))
        ):
            yield f"{where}{name}"


def _bodies(
    before: Sequence[ast.stmt],
    after: Sequence[ast.stmt],
    where: str,
    contested: ContestedEdits,
    inside: ast.ClassDef | None = None,
) -> Iterator[str]:
    """Compare two bodies of definitions: a module's, or that of the class `inside`."""
    old, new = _named(before), _named(after)
    for name, count in Counter(n for s in after for n in bound_names(s)).items():
        held = sum(name in bound_names(s) for s in before)
        if held and count - _imported_again(name, before, after) > held:
            yield f"{where}{name} is defined again, which hides the one that was there."
    renamed = renamed_tests(before, after)
    for name, node in old.items():
        if name in renamed and f"{where}{name}" in contested.tests:
            yield from _definition(node, new[renamed[name]], f"{where}{name}", contested)
        elif name not in new:
            yield f"{where}{name} was deleted."
        else:
            yield from _definition(node, new[name], f"{where}{name}", contested)
    known = {_dump(s) for s in before}
    present = {_dump(s) for s in after}
    for statement in before:
        if not isinstance(statement, _Def) and not _docstring(statement):
            gone = _dump(statement) not in present
            longer = any(is_longer_table(statement, s, (*before, *after)) for s in after)
            kept = longer or _imports_kept(statement, after) or _import_of_no_use(statement, after)
            if gone and not kept:
                yield f"{where}`{shown(statement)}` was changed or deleted."
    for statement in after:
        if not isinstance(statement, _Def) and _dump(statement) not in known:
            yield from _added_statement(statement, where)
        elif isinstance(statement, _Def) and statement.name not in old:
            yield from _added_definition(statement, where, inside)


def _definition(old: _Def, new: _Def, name: str, contested: ContestedEdits) -> Iterator[str]:
    if type(old) is not type(new):
        yield f"{name} became another kind of thing."
        return
    if (
        name in contested.tests
        and not isinstance(old, ast.ClassDef)
        and not isinstance(new, ast.ClassDef)
    ):
        yield from contested_refusals(old, new, name, contested.fixtures)
        return
    yield from _decorators(old, new, name)
    if isinstance(old, ast.ClassDef) and isinstance(new, ast.ClassDef):
        if [_dump(b) for b in (*old.bases, *old.keywords)] != [
            _dump(b) for b in (*new.bases, *new.keywords)
        ]:
            yield f"{name} has other base classes."
        yield from _bodies(old.body, new.body, f"{name}.", contested, old)
    elif not isinstance(old, ast.ClassDef) and not isinstance(new, ast.ClassDef):
        if _dump(old.args) != _dump(new.args):
            yield f"the arguments or fixtures of {name} were changed."
        yield from _statements(old.body, new.body, name)


def _decorators(old: _Def, new: _Def, name: str) -> Iterator[str]:
    kept = {_dump(d) for d in new.decorator_list}
    had = {_dump(d) for d in old.decorator_list}
    for decorator in old.decorator_list:
        if _dump(decorator) not in kept and not _extended(decorator, new.decorator_list):
            yield f"`@{shown(decorator)}` of {name} was changed or deleted."
    for decorator in new.decorator_list:
        if _dump(decorator) in had:
            continue
        if any(word in shown(decorator) for word in _SKIPS):
            yield f"{name} is now skipped or expected to fail (`@{shown(decorator)}`)."
        elif not any(_extended(d, [decorator]) for d in old.decorator_list):
            yield f"{name} has a new decorator `@{shown(decorator)}`, which may disable it."


def _extended(old: ast.expr, decorators: Sequence[ast.expr]) -> bool:
    """Whether a `parametrize` keeps all its cases in one of these and only has more of them."""
    return "parametrize" in shown(old) and any(has_more_cases(old, new) for new in decorators)


def _statements(before: Sequence[ast.stmt], after: Sequence[ast.stmt], name: str) -> Iterator[str]:
    """A function's statements: the old ones in their order, with harmless ones between.

    An old block may gain statements and a table cases, too.
    """
    rest = [s for s in before if not _docstring(s)]
    added: list[tuple[ast.stmt, Sequence[ast.stmt]]] = []
    inner: list[str] = []
    for statement in after:
        if rest and (
            _dump(statement) == _dump(rest[0])
            or is_longer_table(rest[0], statement, (*before, *after))
        ):
            rest.pop(0)
        elif rest and _same_block(rest[0], statement):
            for old, new in zip(_blocks(rest.pop(0)), _blocks(statement), strict=True):
                inner += _statements(old, new, name)
        elif not _docstring(statement):
            added.append((statement, tuple(rest)))
    if rest:
        yield _what_changed(rest[0], after, name)
        return
    yield from inner
    for statement, later in added:
        if not _harmless(statement, later):
            yield f"{name} has a new statement that could disable it: `{shown(statement)}`."


_Block = ast.With | ast.AsyncWith | ast.For | ast.AsyncFor | ast.If


def _same_block(old: ast.stmt, new: ast.stmt) -> bool:
    """Whether two compound statements differ in their blocks only, or have more cases to loop."""
    if not isinstance(old, _Block) or type(old) is not type(new):
        return False
    if isinstance(old, ast.For | ast.AsyncFor) and isinstance(new, ast.For | ast.AsyncFor):
        looped = _dump(old.iter) == _dump(new.iter) or has_more_cases(old.iter, new.iter)
        return looped and _dump(old.target) == _dump(new.target)
    return _head(old) == _head(new)


def _head(statement: ast.stmt) -> list[str]:
    return [
        _dump(child) for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)
    ]


def _blocks(statement: ast.stmt) -> list[list[ast.stmt]]:
    return [getattr(statement, "body", []), getattr(statement, "orelse", [])]


def _harmless(statement: ast.stmt, later: Sequence[ast.stmt]) -> bool:
    """Whether a statement between old ones can neither end them nor change what they see."""
    plain = (
        ast.Assert | ast.Expr | ast.With | ast.AsyncWith | ast.For | ast.AsyncFor | ast.ImportFrom
    )
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parts = [n for t in targets for n in ast.walk(t) if isinstance(n, ast.expr)]
        if not all(isinstance(n, ast.Name | ast.Tuple | ast.List | ast.Starred) for n in parts):
            return False
    elif not isinstance(statement, plain):
        return False
    read = {n.id for s in later for n in ast.walk(s) if isinstance(n, ast.Name)}
    if later and isinstance(statement, ast.Expr) and _words(statement) & _PATCHING:
        return False
    return not can_end(statement) and not read & set(bound_names(statement))


def _words(node: ast.AST) -> set[str]:
    """The names and attributes in an expression or statement."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def _what_changed(lost: ast.stmt, after: Sequence[ast.stmt], name: str) -> str:
    if any(isinstance(s, ast.Try) for s in after):
        return f"{name} now catches exceptions around what it checks."
    if asserts(lost):
        left = sum(asserts(s) for s in after)
        return (
            f"the assertion `{shown(lost)}` in {name} was changed or loosened."
            if left
            else f"the assertions of {name} were deleted."
        )
    return f"`{shown(lost)}` in {name} was changed or deleted."


def _added_statement(statement: ast.stmt, where: str) -> Iterator[str]:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Pass():
            return
        case ast.Assign() | ast.AnnAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [t.id for t in targets if isinstance(t, ast.Name)]
            value_ends = statement.value is not None and can_end(ast.Expr(value=statement.value))
            if len(names) == len(targets) and not _SPECIAL_NAMES & set(names) and not value_ends:
                return
        case _ if _docstring(statement):
            return
    yield (
        f"{where}`{shown(statement)}` runs when tests are loaded and could change their outcome."
    )


def _added_definition(node: _Def, where: str, inside: ast.ClassDef | None) -> Iterator[str]:
    special = node.name in _SPECIAL_NAMES or node.name.startswith("pytest_")
    if special or (inside is not None and _overrides(node.name, inside)):
        yield f"{where}{node.name} was added, which could change the outcome of other tests."
    for decorator in node.decorator_list:
        if "autouse" in shown(decorator):
            yield f"{where}{node.name} is a fixture that applies to tests that did not ask for it."


def _overrides(name: str, inside: ast.ClassDef) -> bool:
    """Whether a new method is one that the tests of the class may call already."""
    if not name.startswith(("assert", "fail", "subTest")):
        return False
    known = {ast.unparse(base).rpartition(".")[2] for base in inside.bases}
    called = {n.attr for n in ast.walk(inside) if isinstance(n, ast.Attribute)}
    return (
        hasattr(unittest.TestCase, name)
        or name in called
        or not known <= {"TestCase", "IsolatedAsyncioTestCase", "object"}
    )


def _named(body: Sequence[ast.stmt]) -> dict[str, _Def]:
    return {s.name: s for s in body if isinstance(s, _Def)}


def bound_names(statement: ast.stmt) -> tuple[str, ...]:
    """Names that a statement of a module or class gives a meaning to, conditionally or not."""
    if isinstance(statement, _Def):
        return (statement.name,)
    names = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.append(node.id)
        elif isinstance(node, ast.alias):
            names.append(node.asname or node.name.partition(".")[0])
        elif isinstance(node, _Def):
            names.append(node.name)
    return tuple(dict.fromkeys(names))


def _imported_again(name: str, before: Sequence[ast.stmt], after: Sequence[ast.stmt]) -> int:
    """How many more imports give a name what imports gave it before: `unittest.mock`, say."""
    known = {origin for s in before for origin in import_origins(s).items() if origin[0] == name}
    old, new = (
        sum(bool(known & import_origins(s).items()) for s in body) for body in (before, after)
    )
    return max(new - old, 0)


def _imports_kept(statement: ast.stmt, after: Sequence[ast.stmt]) -> bool:
    """Whether an import's names still come from the same place, perhaps along with others."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return False
    now = {origin for s in after for origin in import_origins(s).items()}
    return import_origins(statement).items() <= now


def _import_of_no_use(statement: ast.stmt, after: Sequence[ast.stmt]) -> bool:
    """Whether nothing speaks any longer of the names that an import brought."""
    text = "\n".join(ast.unparse(s) for s in after if not isinstance(s, ast.Import))
    return isinstance(statement, ast.ImportFrom) and not any(
        name == "*" or re.search(rf"\b{re.escape(name)}\b", text)
        for name in import_origins(statement)
    )


def import_origins(statement: ast.stmt) -> dict[str, tuple[object, ...]]:
    """The names that an import binds, with what each is: empty for any other statement.

    `import a.b` binds `a`, and stands for `a.b` as well.
    """
    if isinstance(statement, ast.ImportFrom):
        return {
            a.asname or a.name: (statement.level, statement.module, a.name) for a in statement.names
        }
    if isinstance(statement, ast.Import):
        return {
            name: (0, a.name if a.asname else a.name.partition(".")[0], None)
            for a in statement.names
            for name in ((a.asname,) if a.asname else (a.name, a.name.partition(".")[0]))
        }
    return {}


def _docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _dump(node: ast.AST) -> str:
    return ast.dump(node)
