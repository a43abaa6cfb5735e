"""Whether a patch weakens existing tests: Python by syntax tree, others by their lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from agent.gate.patch.changed_file import ChangedFile
from agent.gate.rules.python_tests import (
    changed_tests,
    inherited_tests,
    new_names,
    python_weakening,
)
from agent.testing.paths import is_code

_SKIP = re.compile(
    r"\b(?:it|test|describe|suite|context)\.(?:skip|only|todo|fixme|fails)\b|\b[xf](?:it|describe)\("
    r"|\bt\.Skip|\bos\.Exit|#\[ignore|@(?:Disabled|Ignore)\b|\bprocess\.exit|\bSystem\.exit"
    r"|\bAssume\.|\bassumeTrue\(|\bstd::process::exit|\bpending\b|\bskip\b"
)
_ASSERTS = re.compile(r"\b(?:expect|assert\w*|should|t)\b\s*[.(!]", re.IGNORECASE)
_CATCH = re.compile(r"\bcatch\s*[({]|\brescue\b|\brecover\(\)|\bcatch_unwind\b")
_IMPORT = re.compile(
    r"\s*(?:import\b|from\b.*\bimport\b|use\s|const .*require\(|#include|package )"
)
_COMMENT = re.compile(r"\s*(?://|/\*|\*|#(?!\[)|--|$)")
_RUST_TEST = re.compile(r"#\[(?:\w+::)?test\b|\bassert(?:_eq|_ne)?!")


def weakening(file: ChangedFile, contested: Collection[str] = ()) -> tuple[str, ...]:
    """Why the change of one file is refused for what it does to tests; empty if it is not.

    `contested`: names of tests, in any file, of which a submission says that they contradict the
    issue. Such a Python test's statements and name may be changed, also where it is inherited; in
    other languages lines of a file that has such a test, or is itself named; in expected data any.
    """
    if file.base is None:
        return ()
    if file.is_test:
        if file.patched is None:
            return (f"{file.path}: the test file was deleted.",)
        own = [name for name in contested if name.partition("::")[0] == file.path]
        if file.path.endswith(".py"):
            written = inherited_tests(file.base)
            dotted = (name.partition("::")[2].replace("::", ".") for name in own)
            tests = [written.get(name, name) for name in dotted]
            return python_weakening(file.path, file.base, file.patched, tests)
        if is_code(file.path):
            return tuple(_by_lines(file, file.base, file.patched, may_change=bool(own)))
        return tuple(_data(file, file.base, file.patched, may_change=bool(contested)))
    if PurePosixPath(file.path).suffix == ".rs":
        return tuple(_rust_inline(file))
    return ()


def edited_tests(file: ChangedFile) -> tuple[str, ...]:
    """Existing tests that a change edits or renames: by name in Python, else their file."""
    if file.base is None or file.patched is None or not file.is_test:
        return ()
    if file.path.endswith(".py"):
        names = changed_tests(file.base, file.patched)
        return tuple(_full(file.path, name) for name in names)
    return (file.path,) if weakening(file) else ()


def new_test_names(file: ChangedFile) -> dict[str, str]:
    """The new names of Python tests that a change renames, by the old."""
    if file.base is None or file.patched is None or not file.is_test:
        return {}
    if not file.path.endswith(".py"):
        return {}
    names = new_names(file.base, file.patched)
    return {_full(file.path, old): _full(file.path, new) for old, new in names.items()}


def inherited_names(path: str, base: str) -> dict[str, str]:
    """Names of tests that classes of a Python file inherit, each with that of where it stands."""
    return {_full(path, n): _full(path, w) for n, w in inherited_tests(base).items()}


def _full(path: str, name: str) -> str:
    return f"{path}::{name.replace('.', '::')}"


_DATA_OPTIONS = re.compile(
    r"\..*|.*(?:config|rc)(?:\.\w+)?|.*\.(?:ini|cfg)|package(?:-lock)?\.json|(?:gnu)?makefile"
    r"|pyproject\.toml|requirements.*",
    re.IGNORECASE,
)
"""Files among the tests that may be about how they run, and not about what they expect."""


def _data(file: ChangedFile, base: str, patched: str, *, may_change: bool) -> Iterator[str]:
    """Expected data may get longer: that what was there still holds, the runs with it show."""
    if _DATA_OPTIONS.fullmatch(PurePosixPath(file.path).name):
        yield f"{file.path}: it may say how existing tests are run."
    elif not may_change and not _only_longer(file.path, base, patched):
        yield f"{file.path}: expected data of existing tests was changed."


def _only_longer(path: str, base: str, patched: str) -> bool:
    """Whether all lines are kept, in their order; a JSON line may get a comma for what follows."""
    ends = "," if path.endswith(".json") else ""
    lines = iter([line.rstrip(ends) if ends else line for line in patched.split("\n")])
    return all((line.rstrip(ends) if ends else line) in lines for line in base.split("\n"))


def _by_lines(
    file: ChangedFile, base: str, patched: str, *, may_change: bool = False
) -> Iterator[str]:
    now = Counter(line.strip() for line in patched.splitlines())
    if may_change:
        if len(_ASSERTS.findall(patched)) < len(_ASSERTS.findall(base)):
            yield f"{file.path}: it asserts less than before."
        base = ""
    for line, count in Counter(line.strip() for line in base.splitlines()).items():
        trivial = _COMMENT.match(line) or _IMPORT.match(line) or not re.search(r"\w", line)
        if count > now[line] and not trivial:
            yield f"{file.path}: `{line[:100]}` was changed or deleted."
    for _, line in file.added:
        if _SKIP.search(line) and not _COMMENT.match(line):
            yield f"{file.path}: `{line.strip()[:100]}` skips tests or ends their run."
        elif _CATCH.search(line):
            yield f"{file.path}: `{line.strip()[:100]}` catches failures in an existing test file."


def _rust_inline(file: ChangedFile) -> Iterator[str]:
    added = {line.strip() for _, line in file.added}
    for _, line in file.removed:
        if _RUST_TEST.search(line) and line.strip() not in added:
            yield f"{file.path}: `{line.strip()[:100]}` was changed or deleted."
    for line in added:
        if line.startswith("#[ignore"):
            yield f"{file.path}: a test is now ignored."
