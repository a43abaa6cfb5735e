"""From a reproduction to a regression test in the project's own place and style.

A proposal only: the gate keeps it if it was seen to fail without the patch and pass with it.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

import libcst as cst

from agent.gate import test_insertion
from agent.gate.patch.changed_file import parsed
from agent.gate.test_insertion import behaviour_name, insert_test, shared_names
from agent.journal.events import ReproductionDeclared
from agent.model import Record
from agent.task import Issue
from agent.testing.collection import PytestCollection
from agent.testing.paths import is_test
from agent.testing.runners import kind_of
from agent.text.titles import class_of_name, name_of_title
from sandbox.protocol import WORKDIR

_USUAL = PytestCollection()
_MOST_PLACES = 2
_HEREDOC = re.compile(r"python3?\s+-\s+<<-?\s*['\"]?(\w+)['\"]?\n(.*)\n\1\s*$", re.S)


class Placement(Record):
    """Where a reproduction lives on as a test."""

    files: dict[str, str]
    """Files of the tree to write, path → content."""
    command: str
    """Runs just these tests, with `selection`."""
    selection: str
    moved: bool
    """False: the reproduction's files are the tests, as they are."""
    replaces: tuple[str, ...] = ()
    """Files of the reproduction that it stands for, which are not kept."""


class NotPlaced(Record):
    """Why a reproduction does not become a test."""

    why: str


def tree_files(reproduction: ReproductionDeclared) -> dict[str, str]:
    """The reproduction's files that lie in the tree, by paths relative to its root."""
    root = f"{WORKDIR}/"
    named = {normalised_path(path): text for path, text in reproduction.files.items()}
    return {p.removeprefix(root): text for p, text in named.items() if p.startswith(root)}


def normalised_path(path: str) -> str:
    """The path from the sandbox's root, without detours: as it is written there."""
    whole = posixpath.normpath(posixpath.join(WORKDIR, path))
    return f"/{whole.lstrip('/')}"  # POSIX lets two leading slashes mean something else


def place(
    reproduction: ReproductionDeclared,
    files: Sequence[str],
    test_command: str,
    issue: Issue,
    collection: PytestCollection = _USUAL,
) -> Placement | NotPlaced:
    """Where the reproduction should stand among a repository's `files`."""
    own = tree_files(reproduction)
    kind = kind_of(test_command)
    tests = {path: text for path, text in own.items() if _is_collected(path, text, collection)}
    if tests:
        command, selection = _selecting(sorted(tests), test_command, files)
        return Placement(files=tests, command=command, selection=selection, moved=False)
    if any(is_test(path) for path in own):
        return NotPlaced(why="Its files already stand among the tests.")
    if not reproduction.files and kind_of(reproduction.command) != "other":
        return NotPlaced(why="It is a test of the repository already.")
    script = _script(reproduction)
    if script is None or kind not in ("pytest", "unittest", "tox", "other"):
        return NotPlaced(why="It is not a Python script, so no test could be made of it.")
    slug = _slug(issue)
    text = script_as_test(script, slug, unittest=kind == "unittest", prefix=collection.prefix)
    if text is None:
        return NotPlaced(why="Its script could not be written as a test function.")
    path = _free_path(slug, files, collection)
    command, selection = _selecting([path], test_command, files)
    return Placement(files={path: text}, command=command, selection=selection, moved=True)


def place_beside(
    reproduction: ReproductionDeclared,
    files: Collection[str],
    test_command: str,
    issue: Issue,
    like: Mapping[str, str],
    collection: PytestCollection = _USUAL,
) -> tuple[Placement, ...]:
    """Where the reproduction could join the tests of what it tests, the best place first.

    `like`: existing test files that belong to what the patch touches, path → text.
    """
    kind = kind_of(test_command)
    own = tree_files(reproduction)
    tests = {p: t for p, t in own.items() if _is_collected(p, t, collection) and p not in files}
    unittest = kind == "unittest"
    slug, title = _slug(issue), name_of_title(issue.title)
    if kind not in ("pytest", "unittest") or (tests and (len(own) > 1 or len(tests) > 1)):
        return ()
    script = None if tests else _script(reproduction)
    text = next(iter(tests.values()), None)
    if script is not None:
        text = script_as_test(script, slug, unittest=unittest, prefix=collection.prefix)
    if text is None or (not tests and any(is_test(path) for path in own)):
        return ()
    ranked = sorted(like, key=lambda path: shared_names(text, like[path]), reverse=True)
    found = []
    for path in ranked[:_MOST_PLACES]:
        if not shared_names(text, like[path]):
            break
        inserted = insert_test(text, like[path], unittest=unittest, fallback_name=title)
        if inserted is None:
            continue
        named = "\n".join(f"{path}::{test}" for test in inserted.tests)
        command, selection = test_command, named
        if unittest:
            command, selection = _selecting([path], test_command, files)
        found.append(
            Placement(
                files={path: inserted.text},
                command=command,
                selection=selection,
                moved=True,
                replaces=tuple(tests),
            )
        )
    return tuple(found)


def with_behaviour_names(
    kept: Placement, files: Collection[str], issue: Issue, prefix: str = "test"
) -> Placement | None:
    """A reproduction that stays as a test, with names that say what its tests assert.

    None where its names say something already. Existing test files stay as they are.
    """
    if kept.moved:
        return None
    title = name_of_title(issue.title)
    renamed = {
        path: named
        for path, text in kept.files.items()
        if path not in files and (named := test_insertion.with_behaviour_names(text, title, prefix))
    }
    if not renamed:
        return None
    return kept.model_copy(update={"files": {**kept.files, **renamed}, "moved": True})


def script_as_test(script: str, slug: str, *, unittest: bool, prefix: str = "test") -> str | None:
    """A script as a test module; None if it has nothing to run or cannot be parsed.

    Imports and definitions stay where they are; the statements become the body of one test.
    A script that has test functions is taken as it is.
    """
    tree = parsed(script)
    if tree is None:
        return None
    if any(_is_test_definition(node, _USUAL) for node in tree.body):
        return script
    try:
        module = cst.parse_module(script)
    except (cst.ParserSyntaxError, RecursionError):
        return None
    top: list[cst.SimpleStatementLine | cst.BaseCompoundStatement] = []
    body: list[cst.BaseStatement] = []
    for index, statement in enumerate(module.body):
        if _stays(statement) or (index == 0 and module.get_docstring() is not None):
            top.append(statement)
        elif isinstance(statement, cst.If) and "__main__" in module.code_for_node(statement.test):
            inner = statement.body
            body.extend(inner.body if isinstance(inner, cst.IndentedBlock) else ())
        elif "sys.path" not in module.code_for_node(statement):
            body.append(statement)  # `sys.path` is left out: tests find the package by themselves
    if not body:
        return None
    body[0] = body[0].with_changes(leading_lines=[])
    test = _wrapped(body, slug, unittest=unittest, prefix="test" if unittest else prefix)
    code = module.with_changes(body=[*top, test]).code
    return _import_unittest(code) if unittest else code


def _stays(statement: cst.SimpleStatementLine | cst.BaseCompoundStatement) -> bool:
    if isinstance(statement, cst.SimpleStatementLine):
        return all(isinstance(small, cst.Import | cst.ImportFrom) for small in statement.body)
    return isinstance(statement, cst.FunctionDef | cst.ClassDef)


def _import_unittest(code: str) -> str:
    if re.search(r"^import unittest$", code, re.M):
        return code
    tree = ast.parse(code)
    after = 0
    for node in tree.body:
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if future or (isinstance(node, ast.Expr) and _text(node.value)):
            after = node.end_lineno or after
    lines = code.splitlines(keepends=True)
    return "".join([*lines[:after], "import unittest\n", *lines[after:]])


def _wrapped(
    body: Sequence[cst.BaseStatement], slug: str, *, unittest: bool, prefix: str
) -> cst.FunctionDef | cst.ClassDef:
    argument = [cst.Param(cst.Name("self"))] if unittest else []
    function = cst.FunctionDef(
        name=cst.Name(prefix),
        params=cst.Parameters(params=argument),
        body=cst.IndentedBlock(body=body),
        leading_lines=[] if unittest else [cst.EmptyLine(indent=False)] * 2,
    )
    function = function.with_changes(name=cst.Name(behaviour_name(function, slug, prefix)))
    if not unittest:
        return function
    return cst.ClassDef(
        name=cst.Name(class_of_name(slug)),
        bases=[cst.Arg(cst.parse_expression("unittest.TestCase"))],
        body=cst.IndentedBlock(body=[function]),
        leading_lines=[cst.EmptyLine(indent=False)] * 2,
    )


def _script(reproduction: ReproductionDeclared) -> str | None:
    """The one Python script that the reproduction runs."""
    python = {p: t for p, t in reproduction.files.items() if p.endswith(".py")}
    if len(python) == 1 and len(reproduction.files) == 1:
        (path,) = python
        named = PurePosixPath(path).name in reproduction.command
        return python[path] if named else None
    if reproduction.files:
        return None
    if heredoc := _HEREDOC.search(reproduction.command.strip()):
        return heredoc[2] + "\n"
    try:
        words = shlex.split(reproduction.command)
    except ValueError:
        return None
    if len(words) == 3 and re.fullmatch(r"(?:.*/)?python3?", words[0]) and words[1] == "-c":
        return words[2] + "\n"
    return None


def _selecting(paths: list[str], test_command: str, files: Collection[str]) -> tuple[str, str]:
    """A command and selection that run just these files."""
    if kind_of(test_command) == "pytest":
        return test_command, "\n".join(paths)
    if kind_of(test_command) != "unittest":
        return "python3 -m pytest -q", "\n".join(paths)
    pure = PurePosixPath(paths[0])
    top = " -t ." if f"{pure.parent}/__init__.py" in files else ""
    folder, name = shlex.quote(str(pure.parent)), shlex.quote(pure.name)
    return f"python3 -m unittest discover -s {folder}{top} -p {name}", ""


def _free_path(slug: str, files: Collection[str], collection: PytestCollection) -> str:
    tests = [PurePosixPath(f) for f in files if f.endswith(".py") and collection.takes_file(f)]
    folders = Counter(str(t.parent) for t in tests)
    folder = folders.most_common(1)[0][0] if folders else "tests"
    suffixed = sum(t.stem.endswith("_test") for t in tests) > len(tests) / 2
    taken, number = set(files), 1
    while True:
        stem = slug if number == 1 else f"{slug}_{number}"
        name = f"{stem}_test.py"
        if not suffixed or not collection.takes_file(name):
            name = collection.name_of_file(stem)
        path = name if folder == "." else f"{folder}/{name}"
        if path not in taken:
            return path
        number += 1


def _slug(issue: Issue) -> str:
    named = name_of_title(issue.title)
    return f"issue_{issue.number}_{named}" if issue.number else named


def _is_collected(path: str, text: str, collection: PytestCollection) -> bool:
    tree = parsed(text)
    return (
        path.endswith(".py")
        and collection.takes_file(path)
        and tree is not None
        and any(_is_test_definition(node, collection) for node in tree.body)
    )


def _is_test_definition(node: ast.stmt, collection: PytestCollection) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return collection.takes_function(node.name)
    if not isinstance(node, ast.ClassDef):
        return False
    cases = any("TestCase" in ast.unparse(base) for base in node.bases)
    return cases or (
        collection.takes_class(node.name)
        and any(_is_test_definition(inner, collection) for inner in node.body)
    )


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
