"""Whether a patch changes how tests are collected and run.

Looks into files that hold other things as well (pyproject.toml, setup.cfg, package.json) and at
conftest.py. Files that are about nothing else are refused by `agent.gate.rules.paths`.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Any

from agent.gate.patch.changed_file import ChangedFile, parsed
from agent.gate.rules.python_tests import python_weakening
from agent.text.toml import toml_table

_ABOUT_TESTS = re.compile(r"test|surefire|failsafe|skip|exclude", re.IGNORECASE)
_MAKERS = {
    "make": re.compile(r"(?:GNU)?makefile|.*\.mk", re.IGNORECASE),
    "just": re.compile(r"\.?justfile", re.IGNORECASE),
    "task": re.compile(r"taskfile\.ya?ml", re.IGNORECASE),
    "rake": re.compile(r"rakefile|.*\.rake", re.IGNORECASE),
}
"""Programs that run what is in a file, and the names of such files."""


def option_refusals(
    file: ChangedFile, command: str = "", fixtures: Collection[str] = ()
) -> tuple[str, ...]:
    """Why the change of one file is refused; empty if it is not.

    `command` runs the tests; `fixtures` are names that the base's fixtures may have.
    """
    name = PurePosixPath(file.path).name
    words = {PurePosixPath(word).name for word in re.findall(r"[\w./-]+", command)}
    made = any(maker in words and names.fullmatch(name) for maker, names in _MAKERS.items())
    if file.base is not None and (made or (name in words and not file.is_test)):
        return (f"{file.path}: it defines what the test command `{command}` does.",)
    match name:
        case "pom.xml" | "build.gradle" | "build.gradle.kts" | "Cargo.toml":
            return tuple(_build(file))
        case "conftest.py":
            return tuple(_conftest(file, fixtures))
        case "pyproject.toml":
            read = _pyproject
        case "setup.cfg":
            read = _setup_cfg
        case "package.json":
            read = _package_json
        case "setup.py":
            return tuple(_setup_py(file))
        case _:
            return ()
    before, after = read(file.base or ""), read(file.patched or "")
    if before != after:
        return (
            f"{file.path}: the options or plugins of the tests were changed; a fix must hold "
            "under the options that are there.",
        )
    return ()


def _conftest(file: ChangedFile, fixtures: Collection[str]) -> Iterator[str]:
    """A conftest may gain plain fixtures that tests ask for by name, and nothing else."""
    if file.patched is None:
        yield f"{file.path}: a conftest was deleted."
        return
    if file.base is not None:
        yield from python_weakening(file.path, file.base, file.patched)
        return
    tree = parsed(file.patched)
    if tree is None:
        yield f"{file.path}: it cannot be parsed."
        return
    for node in tree.body:
        if not _is_harmless_statement(node):
            yield (
                f"{file.path}:{node.lineno}: a new conftest may only hold fixtures that tests ask "
                "for by name; this could hide failures or change outcomes."
            )
        elif getattr(node, "name", "") in (*fixtures, *_BUILT_IN_FIXTURES):
            yield (
                f"{file.path}:{node.lineno}: `{ast.unparse(node)[:60]}` takes the place of a "
                "fixture that tests have now."
            )


_PLAIN_MODULES = frozenset(
    {"__future__", "abc", "base64", "collections", "contextlib", "copy", "csv", "dataclasses"}
    | {"datetime", "decimal", "enum", "fractions", "functools", "hashlib", "io", "itertools"}
    | {"json", "math", "operator", "pathlib", "pytest", "re", "shutil", "string", "tempfile"}
    | {"textwrap", "types", "typing", "uuid", "zoneinfo"}
)
"""What a new conftest may import at its top; a fixture imports anything else where it needs it."""
_BUILT_IN_FIXTURES = frozenset(
    {"cache", "capfd", "capfdbinary", "caplog", "capsys", "capsysbinary", "doctest_namespace"}
    | {"monkeypatch", "pytestconfig", "record_property", "record_testsuite_property", "recwarn"}
    | {"record_xml_attribute", "request", "testdir", "pytester", "tmp_path", "tmp_path_factory"}
    | {"tmpdir", "tmpdir_factory", "event_loop"}
)


def _harmless_import(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether an import binds plain modules, and no name that pytest takes for a hook."""
    modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    bound = [a.asname or a.name for a in node.names]
    relative = isinstance(node, ast.ImportFrom) and node.level
    return (
        not relative
        and all(m.partition(".")[0] in _PLAIN_MODULES for m in modules)
        and not any(name == "*" or name.startswith("pytest_") for name in bound)
    )


def _is_harmless_statement(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return _harmless_import(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    marks = [ast.unparse(d) for d in node.decorator_list]
    fixture = any(m.split("(")[0].endswith("fixture") for m in marks)
    return fixture and not any("autouse" in m or "name=" in m for m in marks)


_UNREADABLE = object()


def _pyproject(text: str) -> Any:
    try:
        data = toml_table(text)
    except ValueError:
        return (_UNREADABLE, text)
    tool = _table(data.get("tool"))
    project = _table(data.get("project"))
    return (
        {k: tool.get(k) for k in ("pytest", "coverage", "tox", "nox", "hatch", "pdm", "poe")},
        _table(project.get("entry-points")).get("pytest11"),
        _table(_table(tool.get("poetry")).get("plugins")).get("pytest11"),
    )


def _setup_cfg(text: str) -> Any:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return (_UNREADABLE, text)
    sections = ("tool:pytest", "pytest", "options.entry_points", "aliases", "tox:tox")
    return {name: dict(parser[name]) for name in sections if name in parser}


def _package_json(text: str) -> Any:
    try:
        data = _table(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return (_UNREADABLE, text)
    return (
        {k: data.get(k) for k in ("jest", "mocha", "vitest", "ava", "nyc", "babel", "type")},
        data.get("scripts"),
    )


def _build(file: ChangedFile) -> Iterator[str]:
    """A build file may change, but not in lines that are about tests."""
    for _, line in (*file.removed, *file.added):
        if _ABOUT_TESTS.search(line):
            yield f"{file.path}: `{line.strip()[:100]}` is about how tests are run."


def _setup_py(file: ChangedFile) -> Iterator[str]:
    if any("pytest11" in line or "tests_require" in line for _, line in file.added):
        yield f"{file.path}: the options or plugins of the tests were changed."


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
