"""A new test written into an existing Python test file, in that file's style.

Only texts are made here. Whether what is added could steer its neighbours is judged by
`agent.gate.rules.test_additions`, and that it fails without the patch is seen by running it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard, TypeVar

import libcst as cst

from agent.gate.patch.changed_file import parsed

_LONGEST_NAME = 60
_LINE = 100
_GENERIC = re.compile(
    r"test_?(?:it|bug|fix|issue|reported(?:_example)?|repro\w*|regression)?(?:_?(?:issue|bug|gh))?_?\d*"
    r"|test_(?:issue|bug|gh)_?\d+_\w+"
)
"""Names that say nothing of what should hold."""
_Test = cst.FunctionDef | cst.ClassDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_Named = TypeVar("_Named", cst.FunctionDef, cst.FunctionDef | cst.ClassDef)


@dataclass(frozen=True, slots=True)
class Inserted:
    """A test file with a new test in it."""

    text: str
    tests: tuple[str, ...]
    """The new tests as pytest names them below the file (`test_a`, `TestB::test_a`)."""


@dataclass(frozen=True, slots=True)
class _New:
    """The parts of a module that holds nothing but a new test and what it needs."""

    imports: tuple[cst.Import | cst.ImportFrom, ...]
    helpers: tuple[cst.BaseStatement, ...]
    tests: tuple[_Test, ...]


def shared_names(new: str, existing: str) -> int:
    """How often the names that a new test imports stand in an existing test file's code.

    Zero where that file imports none of them: the test has nothing to do with it then.
    """
    own, other = parsed(new), parsed(existing)
    if own is None or other is None:
        return 0
    imported = set(_imported(own)) & set(_imported(other))
    used = Counter(node.id for node in ast.walk(other) if isinstance(node, ast.Name))
    return sum(used[name] for name in imported)


def insert_test(new: str, existing: str, *, unittest: bool, fallback_name: str) -> Inserted | None:
    """Write the test of a module of its own into an existing file; None where it does not fit.

    A function becomes a row of a table of cases that has its shape, else a method where the file's
    tests are methods, else a function at the end. `unittest`: only classes are collected.
    """
    try:
        module, home = cst.parse_module(new), cst.parse_module(existing)
    except (cst.ParserSyntaxError, RecursionError):
        return None
    parts = _parts(module)
    if parts is None or not parts.tests:
        return None
    if extended := _as_row(parts, home):
        return extended
    tests = _several_names([_renamed(test, fallback_name) for test in parts.tests])
    parts = replace(parts, tests=tests)
    merged = _with_imports(parts, home)
    taken = _top_names(existing)
    if merged is None or any(_name(part) in taken for part in (*parts.helpers, *parts.tests)):
        return None
    return _placed(parts, merged, unittest=unittest)


def with_behaviour_names(text: str, fallback_name: str, prefix: str = "test") -> str | None:
    """A test file in which names that say nothing say what the tests assert.

    None where there is no such name, or where the code speaks of one.
    """
    try:
        module = cst.parse_module(text)
    except (cst.ParserSyntaxError, RecursionError):
        return None
    tests = [
        node
        for node in module.body
        if isinstance(node, _Test) and (_is_test(node) or node.name.value.startswith(prefix))
    ]
    named = _several_names([_renamed(test, fallback_name, prefix) for test in tests])
    told = dict(zip(map(id, tests), named, strict=True))
    changed = module.with_changes(body=[told.get(id(node), node) for node in module.body])
    before, after = parsed(text), parsed(changed.code)
    if before is None or after is None or changed.code == text:
        return None
    old, new = _defined(before), _defined(after)
    if len(set(new)) < len(set(old)):
        return None
    gone = {name.rpartition(".")[2] for name in set(old) - set(new)}
    used = {
        n.id if isinstance(n, ast.Name) else n.attr
        for n in ast.walk(before)
        if isinstance(n, ast.Name | ast.Attribute)
    }
    return None if gone & used else changed.code


def _defined(tree: ast.Module) -> list[str]:
    """The names of a module's functions, classes and methods."""
    found = []
    for node in tree.body:
        if isinstance(node, _DEFINITIONS):
            found.append(node.name)
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}.{n.name}" for n in node.body if isinstance(n, _DEFINITIONS)]
    return found


def _renamed(test: _Test, fallback: str, prefix: str = "test") -> _Test:
    if isinstance(test, cst.FunctionDef):
        return test.with_changes(name=cst.Name(behaviour_name(test, fallback, prefix)))
    if not isinstance(test.body, cst.IndentedBlock):
        return test
    methods = [node for node in test.body.body if _is_method(node)]
    named = _several_names([_renamed(method, fallback) for method in methods])
    told = dict(zip(map(id, methods), named, strict=True))
    body = [told.get(id(node), node) for node in test.body.body]
    return test.with_changes(body=test.body.with_changes(body=body))


def _several_names(tests: Sequence[_Named]) -> tuple[_Named, ...]:
    """The tests, each with a name of its own."""
    taken: Counter[str] = Counter()
    found: list[_Named] = []
    for test in tests:
        taken[test.name.value] += 1
        times = taken[test.name.value]
        name = f"{test.name.value}_{times}" if times > 1 else test.name.value
        found.append(test.with_changes(name=cst.Name(name)))
    return tuple(found)


def behaviour_name(test: cst.FunctionDef, fallback: str, prefix: str = "test") -> str:
    """A test's name by what it asserts; its own where that says something already.

    `prefix`: how the names of tests begin.
    """
    own = test.name.value
    if not own.startswith(prefix) or not _GENERIC.fullmatch(f"test{own.removeprefix(prefix)}"):
        return own
    words = next(_told(ast.parse(cst.Module(body=[test]).code)), [])
    name = prefix
    for word in words:
        if len(name) + len(word) >= _LONGEST_NAME:
            break
        name += f"_{word}"
    return name if len(words) > 1 and name != prefix else f"{prefix}_{fallback}"


def _told(tree: ast.AST) -> Iterator[list[str]]:
    """The words for each assertion that can be told in a few: function, arguments, result."""
    results: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            results[node.targets[0].id] = node.value
        elif isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
            call, operator, right = node.test.left, node.test.ops[0], node.test.comparators[0]
            call = results.get(call.id, call) if isinstance(call, ast.Name) else call
            if isinstance(call, ast.Call) and isinstance(operator, ast.Eq | ast.Is):
                yield [*_call_words(call), "is", *_words(right)]
        elif isinstance(node, ast.With) and node.body:
            raises = node.items[0].context_expr
            first = node.body[0]
            value = first.value if isinstance(first, ast.Expr | ast.Assign) else None
            if (
                isinstance(raises, ast.Call)
                and _called(raises).lower().endswith("raises")
                and raises.args
                and isinstance(value, ast.Call)
            ):
                yield [*_call_words(value), "raises", *_words(raises.args[0])]
        elif (
            isinstance(node, ast.Call)
            and _called(node) in ("assertEqual", "assertIs", "assertAlmostEqual")
            and len(node.args) == 2
            and isinstance(node.args[0], ast.Call)
        ):
            yield [*_call_words(node.args[0]), "is", *_words(node.args[1])]


def _call_words(call: ast.Call) -> list[str]:
    arguments = [word for argument in call.args[:2] for word in _words(argument)]
    return [*_snake(_called(call)), *(["of", *arguments] if arguments else [])]


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _words(node: ast.expr) -> list[str]:
    empty = {"''": "empty_string", "[]": "empty_list", "{}": "empty_dict", "()": "empty_tuple"}
    if isinstance(node, ast.Call) and _called(node) == "approx" and node.args:
        node = node.args[0]
    text = ast.unparse(node)
    if text in empty:
        return [empty[text]]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return ["minus", *_words(node.operand)]
    return _snake(text)[:4] or ["other"]


def _snake(text: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.findall(r"[a-z0-9]+", spaced.lower())


def _parts(module: cst.Module) -> _New | None:
    imports: list[cst.Import | cst.ImportFrom] = []
    helpers: list[cst.BaseStatement] = []
    tests: list[_Test] = []
    for index, statement in enumerate(module.body):
        if isinstance(statement, cst.SimpleStatementLine):
            for small in statement.body:
                if isinstance(small, cst.ImportFrom) and isinstance(small.names, cst.ImportStar):
                    return None
                if isinstance(small, cst.Import | cst.ImportFrom):
                    imports.append(small)
                elif isinstance(small, cst.Expr) and index == 0:
                    continue  # the module's docstring is about the file
                elif isinstance(small, cst.Assign) and len(statement.body) == 1:
                    helpers.append(statement)
                else:
                    return None
        elif isinstance(statement, cst.FunctionDef | cst.ClassDef):
            if _is_test(statement):
                tests.append(statement)
            else:
                helpers.append(statement)
        else:
            return None
    return _New(tuple(imports), tuple(helpers), tuple(tests))


def _is_test(node: _Test) -> bool:
    prefix = "test" if isinstance(node, cst.FunctionDef) else "Test"
    return node.name.value.startswith(prefix) or _is_case(node)


def _is_case(node: _Test) -> bool:
    return isinstance(node, cst.ClassDef) and any("TestCase" in _code(base) for base in node.bases)


def _code(node: cst.CSTNode) -> str:
    return cst.Module(body=[]).code_for_node(node)


def _name(node: cst.BaseStatement) -> str:
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        return node.name.value
    target = node.body[0] if isinstance(node, cst.SimpleStatementLine) else None
    return _code(target.targets[0].target) if isinstance(target, cst.Assign) else ""


def _imported(tree: ast.Module) -> dict[str, tuple[str, int, str]]:
    """The names that a module's own imports bind, with where they come from."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for a in node.names:
                found[a.asname or a.name.partition(".")[0]] = (a.name, 0, "")
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for a in node.names:
                found[a.asname or a.name] = (node.module or "", node.level, a.name)
    return found


def _top_names(text: str) -> set[str]:
    tree = parsed(text)
    if tree is None:
        return set()
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    return own | defined | set(_imported(tree))


def _with_imports(parts: _New, home: cst.Module) -> cst.Module | None:
    """The file with what the test imports; None where a name has another meaning in it."""
    tree = parsed(home.code)
    if tree is None:
        return None
    known, taken = _imported(tree), _top_names(home.code)
    used = _used_names((*parts.helpers, *parts.tests))
    for statement in parts.imports:
        stated = _imported(ast.parse(_code(statement)))
        asked = {name: origin for name, origin in stated.items() if name in used}
        if any(known.get(name, origin) != origin for name, origin in asked.items()):
            return None
        missing = [name for name in asked if name not in known]
        if set(missing) & taken:
            return None
        if missing:
            home = _with_import(home, statement, missing)
            known |= {name: asked[name] for name in missing}
    return home


def _used_names(parts: Sequence[cst.BaseStatement]) -> set[str]:
    tree = ast.parse("\n".join(_code(part) for part in parts))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _with_import(
    home: cst.Module, statement: cst.Import | cst.ImportFrom, names: Sequence[str]
) -> cst.Module:
    if isinstance(statement, cst.ImportFrom) and not isinstance(statement.names, cst.ImportStar):
        wanted = [a for a in statement.names if _bound(a) in names]
        statement = statement.with_changes(
            names=[a.with_changes(comma=cst.MaybeSentinel.DEFAULT) for a in wanted],
            lpar=None,
            rpar=None,
        )
        for at, line in enumerate(home.body):
            longer = _longer_import(line, statement)
            if longer is not None:
                return home.with_changes(body=[*home.body[:at], longer, *home.body[at + 1 :]])
    last = max(
        (at for at, line in enumerate(home.body) if _is_import(line)),
        default=0 if home.get_docstring() is not None else -1,
    )
    line = cst.SimpleStatementLine(body=[statement])
    return home.with_changes(body=[*home.body[: last + 1], line, *home.body[last + 1 :]])


def _bound(alias: cst.ImportAlias) -> str:
    return _code(alias.asname.name) if alias.asname else _code(alias.name).partition(".")[0]


def _is_import(line: cst.BaseStatement) -> bool:
    return isinstance(line, cst.SimpleStatementLine) and isinstance(
        line.body[0], cst.Import | cst.ImportFrom
    )


def _longer_import(line: cst.BaseStatement, more: cst.ImportFrom) -> cst.SimpleStatementLine | None:
    """An import line of the same module with further names, where it stays short."""
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    old = line.body[0]
    if not isinstance(old, cst.ImportFrom) or old.lpar is not None:
        return None
    if isinstance(old.names, cst.ImportStar) or isinstance(more.names, cst.ImportStar):
        return None
    if (_module(old), len(old.relative)) != (_module(more), len(more.relative)):
        return None
    names = [_code(a.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for a in old.names]
    both = [*old.names, *more.names]
    if names == sorted(names):
        both.sort(key=lambda a: _code(a.name))
    space = cst.SimpleWhitespace(" ")
    aliases = [
        a.with_changes(
            comma=cst.Comma(whitespace_after=space)
            if a is not both[-1]
            else cst.MaybeSentinel.DEFAULT
        )
        for a in both
    ]
    new = line.with_changes(body=[old.with_changes(names=aliases)])
    return new if len(_code(new).strip()) <= _LINE else None


def _module(node: cst.ImportFrom) -> str:
    return _code(node.module) if node.module is not None else ""


def _placed(parts: _New, home: cst.Module, *, unittest: bool) -> Inserted | None:
    names = {name for test in parts.imports for name in _imported(ast.parse(_code(test)))}
    into = _class_for(home, names)
    methods = _as_methods(parts.tests, unittest=into is not None and _is_case(into[1]))
    if into is None or methods is None:
        if unittest and not all(_is_case(test) for test in parts.tests):
            return None
        body = [*home.body, *(_spaced(part) for part in (*parts.helpers, *parts.tests))]
        return Inserted(
            home.with_changes(body=body).code, tuple(_name(test) for test in parts.tests)
        )
    at, holder = into
    own = {node.name.value for node in holder.body.body if isinstance(node, cst.FunctionDef)}
    if not isinstance(holder.body, cst.IndentedBlock) or own & {m.name.value for m in methods}:
        return None
    block = holder.body.with_changes(body=[*holder.body.body, *methods])
    before = [*home.body[:at], *(_spaced(part) for part in parts.helpers)]
    body = [*before, holder.with_changes(body=block), *home.body[at + 1 :]]
    tests = tuple(f"{holder.name.value}::{test.name.value}" for test in methods)
    return Inserted(home.with_changes(body=body).code, tests)


def _class_for(home: cst.Module, names: set[str]) -> tuple[int, cst.ClassDef] | None:
    """The class of tests that uses these names most, where the file's tests are methods."""
    classes = [
        (at, node)
        for at, node in enumerate(home.body)
        if isinstance(node, cst.ClassDef) and _is_test(node)
    ]
    functions = [n for n in home.body if isinstance(n, cst.FunctionDef) and _is_test(n)]
    if not classes or len(functions) > len(classes):
        return None

    def uses(node: cst.ClassDef) -> int:
        words = Counter(re.findall(r"\w+", _code(node)))
        return sum(words[name] for name in names)

    return max(reversed(classes), key=lambda entry: uses(entry[1]))


def _is_plain(test: cst.FunctionDef) -> bool:
    """Whether a function can be a method of any class: no fixtures, no decorators."""
    return not test.params.params and not test.decorators and test.asynchronous is None


def _spaced(node: cst.BaseStatement) -> cst.BaseStatement:
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        comments = [line for line in node.leading_lines if line.comment is not None]
        return node.with_changes(leading_lines=[cst.EmptyLine(indent=False)] * 2 + comments)
    return node


def _is_method(node: cst.CSTNode) -> TypeGuard[cst.FunctionDef]:
    """Whether a test method needs nothing of its class but the assertions."""
    return (
        isinstance(node, cst.FunctionDef)
        and node.name.value.startswith("test")
        and [p.name.value for p in node.params.params] == ["self"]
        and not node.decorators
        and node.asynchronous is None
    )


def _as_methods(tests: Sequence[_Test], *, unittest: bool) -> list[cst.FunctionDef] | None:
    """The tests as methods of one class; None where one cannot be."""
    methods: list[cst.FunctionDef] = []
    for test in tests:
        if isinstance(test, cst.FunctionDef):
            if not _is_plain(test):
                return None
            methods.append(_as_method(test, unittest=unittest))
        elif unittest == _is_case(test) and all(_is_method(m) for m in test.body.body):
            space = [cst.EmptyLine(indent=False)]
            methods += [
                m.with_changes(leading_lines=space) for m in test.body.body if _is_method(m)
            ]
        else:
            return None
    return list(_several_names(methods)) if methods else None


def _as_method(test: cst.FunctionDef, *, unittest: bool) -> cst.FunctionDef:
    method = test.with_changes(
        params=test.params.with_changes(params=[cst.Param(cst.Name("self"))]),
        leading_lines=[cst.EmptyLine(indent=False)],
    )
    if not unittest:
        return method
    told = method.visit(_UnittestStyle())
    return told if isinstance(told, cst.FunctionDef) else method


class _UnittestStyle(cst.CSTTransformer):
    """Plain assertions as unittest's own."""

    def leave_Assert(
        self, original_node: cst.Assert, updated_node: cst.Assert
    ) -> cst.Assert | cst.Expr:
        """`assert a == b` as `self.assertEqual(a, b)`; what has no counterpart stays."""
        test = updated_node.test
        if updated_node.msg is not None:
            return updated_node
        if not isinstance(test, cst.Comparison):
            return cst.Expr(_self_call("assertTrue", test))
        target = test.comparisons[0]
        right = target.comparator
        if len(test.comparisons) > 1:
            return updated_node
        if isinstance(target.operator, cst.Equal):
            return cst.Expr(_self_call("assertEqual", test.left, right))
        if isinstance(target.operator, cst.Is) and _code(right) == "None":
            return cst.Expr(_self_call("assertIsNone", test.left))
        if isinstance(target.operator, cst.In):
            return cst.Expr(_self_call("assertIn", test.left, right))
        return updated_node


def _self_call(name: str, *arguments: cst.BaseExpression) -> cst.Call:
    return cst.Call(
        func=cst.Attribute(cst.Name("self"), cst.Name(name)),
        args=[cst.Arg(argument) for argument in arguments],
    )


def _as_row(parts: _New, home: cst.Module) -> Inserted | None:
    """The test as one more row of a parametrised test with the same single assertion."""
    if len(parts.tests) != 1 or parts.helpers:
        return None
    wanted = _assertion(parts.tests[0])
    if wanted is None:
        return None
    asked = _imported(ast.parse("\n".join(_code(line) for line in parts.imports)))
    known = _imported(ast.parse(home.code))
    if any(known.get(name) != origin for name, origin in asked.items() if name != "pytest"):
        return None
    for at, node in enumerate(home.body):
        table = _table(node)
        if table is None or not isinstance(node, cst.FunctionDef):
            continue
        parameters, rows = table
        shape = _assertion(node, set(parameters))
        row: dict[str, ast.expr] = {}
        if shape is None or not _fits(shape, wanted, set(parameters), row):
            continue
        used = {n.id for v in row.values() for n in ast.walk(v) if isinstance(n, ast.Name)}
        # The call's own names are those of the file; in the row only literals may stand.
        if set(row) != set(parameters) or used:
            continue
        values = ", ".join(ast.unparse(row[name]) for name in parameters)
        element = cst.parse_expression(f"({values})" if len(parameters) > 1 else values)
        longer = node.deep_replace(rows, _with_element(rows, element))
        if not isinstance(longer, cst.FunctionDef):
            continue
        body = [*home.body[:at], longer, *home.body[at + 1 :]]
        return Inserted(home.with_changes(body=body).code, (node.name.value,))
    return None


def _assertion(test: cst.BaseStatement, parameters: set[str] | None = None) -> ast.expr | None:
    """The comparison that is all a test does; `parameters`: those that it must take."""
    if not isinstance(test, cst.FunctionDef) or (parameters is None and not _is_plain(test)):
        return None
    function = ast.parse(cst.Module(body=[test.with_changes(decorators=[])]).code).body[0]
    if not isinstance(function, ast.FunctionDef) or function.decorator_list:
        return None
    if parameters is not None and {a.arg for a in function.args.args} != parameters:
        return None
    only = function.body[0]
    if len(function.body) != 1 or not isinstance(only, ast.Assert) or only.msg is not None:
        return None
    return only.test


def _table(node: cst.BaseStatement) -> tuple[list[str], cst.List] | None:
    """The parameters and rows of a test's only decorator, a parametrisation without ids."""
    if not isinstance(node, cst.FunctionDef) or len(node.decorators) != 1:
        return None
    call = node.decorators[0].decorator
    if not isinstance(call, cst.Call) or not _code(call.func).endswith("mark.parametrize"):
        return None
    if len(call.args) != 2 or call.args[1].keyword is not None:
        return None
    try:
        given = ast.literal_eval(_code(call.args[0].value))
    except (ValueError, SyntaxError):
        return None
    rows = call.args[1].value
    named = [part.strip() for part in given.split(",")] if isinstance(given, str) else list(given)
    return (named, rows) if isinstance(rows, cst.List) and rows.elements else None


def _with_element(rows: cst.List, element: cst.BaseExpression) -> cst.List:
    """The rows with one more, laid out as the last one is."""
    *before, last = rows.elements
    between, bracket = cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")), rows.rbracket
    if before and isinstance(before[-1].comma, cst.Comma):
        between = before[-1].comma
    laid_out, end = between.whitespace_after, bracket.whitespace_before
    if isinstance(laid_out, cst.ParenthesizedWhitespace) and isinstance(
        end, cst.ParenthesizedWhitespace
    ):
        # A remark behind the last row stays with it.
        laid_out = laid_out.with_changes(first_line=end.first_line, empty_lines=())
        between = between.with_changes(whitespace_after=laid_out)
        end = end.with_changes(first_line=cst.TrailingWhitespace())
        bracket = bracket.with_changes(whitespace_before=end)
    return rows.with_changes(
        elements=[
            *before,
            last.with_changes(comma=between),
            cst.Element(element, comma=last.comma),
        ],
        rbracket=bracket,
    )


def _fits(shape: ast.AST, value: ast.AST, free: set[str], row: dict[str, ast.expr]) -> bool:
    """Whether a value has a shape whose free names stand for expressions; fills in the row."""
    if isinstance(shape, ast.Name) and shape.id in free and isinstance(value, ast.expr):
        known = row.setdefault(shape.id, value)
        return ast.dump(known) == ast.dump(value)
    if type(shape) is not type(value):
        return False
    for field in shape._fields:
        one, other = getattr(shape, field, None), getattr(value, field, None)
        if isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            if not all(_fits(a, b, free, row) for a, b in zip(one, other, strict=True)):
                return False
        elif isinstance(one, ast.AST) and isinstance(other, ast.AST):
            if not _fits(one, other, free, row):
                return False
        elif one != other:
            return False
    return True
