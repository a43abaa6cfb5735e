"""A traceback without a call that can be run again: look for an input that gives the same error.

The functions of the traceback's frames are called with small values and with the arguments that
the repository's own tests give them, each literal in turn made empty, zero, negative or None.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.models.offline.issue_examples import Example, IssueReport
from agent.models.offline.protocol import Steps, call
from agent.models.offline.repository_view import Tree, is_test, view_whole
from agent.models.offline.variants import nearby

POOL = (
    "''",
    "' '",
    "'a'",
    "'a b'",
    "0",
    "1",
    "-1",
    "2",
    "0.0",
    "[]",
    "[1]",
    "{}",
    "None",
    "[[]]",
    "['']",
)
MOST = 400
MOST_TEST_FILES = 2


def hunted_examples(report: IssueReport, tree: Tree) -> Steps[list[Example]]:
    """Calls that may raise what the traceback shows, to be tried."""
    trace = report.traces[0]
    names = [f[2].split(".")[-1] for f in trace.frames if re.fullmatch(r"[\w.]+", f[2])]
    if not names:
        return []
    result = yield from call(
        "search",
        "The traceback shows no call that could be run again. Who calls its functions?",
        pattern=rf"\b({'|'.join(dict.fromkeys(names))})\(",
        glob="*.py",
    )
    paths = [line.split(":")[0] for line in result.lines if ".py:" in line]
    texts = []
    for path in [p for p in dict.fromkeys(paths) if is_test(p)][:MOST_TEST_FILES]:
        text = yield from view_whole(path, "The tests' own calls are a start.")
        texts.append(text or "")
    found: list[Example] = []
    values = (*report.literals, *POOL)
    for name in dict.fromkeys(names):
        used = [e for text in texts for e in calls_in_tests(text, name)][:6]
        near = [n for e in used for n in nearby(e, 40)]
        new = [Example(t) for t in _from_scratch(name, _needed_imports(name, result.lines), values)]
        found += [replace(e, crashed=trace.exception, expected=report.wanted) for e in near + new]
    return found[:MOST]


def calls_in_tests(text: str, name: str) -> list[Example]:
    """Calls of a function in tests, each with the statements of the test before it."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []
    imports = [ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    found = []
    for test in ast.walk(tree):
        if not isinstance(test, ast.FunctionDef) or not test.name.startswith("test"):
            continue
        before: list[str] = []
        for node in test.body:
            code = ast.unparse(node)
            calls = [
                n for n in ast.walk(node) if isinstance(n, ast.Call) and _parse_call(n) == name
            ]
            if calls and "self." not in ast.unparse(calls[0]):
                found.append(Example(ast.unparse(calls[0]), (*imports, *before)))
            if isinstance(node, ast.Assign | ast.Expr) and "self." not in code:
                before.append(code)
    return found


def _parse_call(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _needed_imports(name: str, lines: Sequence[str]) -> int | None:
    """How many parameters a plain function needs, by its definition among these lines."""
    for line in lines:
        code = line.split(":", 2)[-1].strip()
        header = re.match(rf"(?:async )?def {name}\((.*?)\)\s*(?:->.*)?:$", code)
        if header:
            try:
                function = ast.parse(f"def f({header.group(1)}): pass").body[0]
            except SyntaxError:
                return None
            if isinstance(function, ast.FunctionDef):
                own = [a.arg for a in function.args.args]
                return None if "self" in own else len(own) - len(function.args.defaults)
    return None


def _from_scratch(name: str, params: int | None, values: Sequence[str]) -> Iterator[str]:
    if params is None or params > 3:
        return
    if params == 0:
        yield f"{name}()"
    elif params == 1:
        yield from (f"{name}({v})" for v in values)
    else:
        for first in values:
            for second in values:
                rest = ", '1'" * (params - 2)
                yield f"{name}({first}, {second}{rest})"
