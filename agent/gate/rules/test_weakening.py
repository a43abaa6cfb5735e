"""Whether a patch weakens existing tests. Pure: Python by syntax tree, others by their lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from agent.gate.changed import ChangedFile
from agent.gate.rules.python_tests import python_weakening
from agent.testing.paths import is_code, is_test

_SKIP = re.compile(
    r"\b(?:it|test|describe|suite|context)\.(?:skip|only|todo|fixme|fails)\b|\b[xf](?:it|describe)\("
    r"|\bt\.Skip|\bos\.Exit|#\[ignore|@(?:Disabled|Ignore)\b|\bprocess\.exit|\bSystem\.exit"
    r"|\bAssume\.|\bassumeTrue\(|\bstd::process::exit|\bpending\b|\bskip\b"
)
_CATCH = re.compile(r"\bcatch\s*[({]|\brescue\b|\brecover\(\)|\bcatch_unwind\b")
_IMPORT = re.compile(
    r"\s*(?:import\b|from\b.*\bimport\b|use\s|const .*require\(|#include|package )"
)
_COMMENT = re.compile(r"\s*(?://|/\*|\*|#(?!\[)|--|$)")
_RUST_TEST = re.compile(r"#\[(?:\w+::)?test\b|\bassert(?:_eq|_ne)?!")


def weakening(file: ChangedFile, contested: Collection[str] = ()) -> tuple[str, ...]:
    """Why the change of one file is refused for what it does to tests; empty if it is not.

    `contested`: names of Python tests, in any file, whose statements may be changed.
    """
    if file.base is None:
        return ()
    if is_test(file.path):
        if file.patched is None:
            return (f"{file.path}: the test file was deleted.",)
        if file.path.endswith(".py"):
            own = [
                name.removeprefix(f"{file.path}::").replace("::", ".")
                for name in contested
                if name.startswith(f"{file.path}::")
            ]
            return python_weakening(file.path, file.base, file.patched, own)
        if is_code(file.path):
            return tuple(_by_lines(file, file.base, file.patched))
        return (f"{file.path}: expected data of existing tests was changed.",)
    if PurePosixPath(file.path).suffix == ".rs":
        return tuple(_rust_inline(file))
    return ()


def _by_lines(file: ChangedFile, base: str, patched: str) -> Iterator[str]:
    now = Counter(line.strip() for line in patched.splitlines())
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
