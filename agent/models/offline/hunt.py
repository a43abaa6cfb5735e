"""A traceback without a call that can be run again: look for an input that gives the same error.

The functions of the traceback's frames are called with small values and with the arguments that
the repository's own tests give them, each literal in turn made empty, zero, negative or None.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from agent.models.offline.issue_examples import Example, Report
from agent.models.offline.looking import Tree
from agent.models.offline.steps import Steps, ask
from agent.models.offline.variants import replaced

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


def hunted_examples(report: Report, tree: Tree) -> Steps[list[Example]]:
    """Calls that may raise what the traceback shows, to be tried."""
    trace = report.traces[0]
    names = [f[2].split(".")[-1] for f in trace.frames if re.fullmatch(r"[\w.]+", f[2])]
    if not names:
        return []
    result = yield from ask(
        "search",
        "The traceback shows no call that could be run again. How do the tests call its functions?",
        pattern=rf"\b({'|'.join(dict.fromkeys(names))})\(",
        glob="*.py",
    )
    found: list[Example] = []
    for name in dict.fromkeys(names):
        calls, params = _uses(name, result.lines)
        values = (*report.literals, *POOL)
        for text in dict.fromkeys(
            [*_variants(calls, values), *_from_scratch(name, params, values)]
        ):
            found.append(Example(text, crashed=trace.exception, expected=report.wanted))  # noqa: PERF401
    return found[:MOST]


def _uses(name: str, lines: Sequence[str]) -> tuple[list[str], int | None]:
    """Calls of a function that stand on one line, and how many parameters it needs."""
    calls: list[str] = []
    needed = None
    for line in lines:
        code = line.split(":", 2)[-1].strip()
        header = re.match(rf"(?:async )?def {name}\((.*?)\)\s*(?:->.*)?:$", code)
        if header:
            try:
                args = ast.parse(f"def f({header.group(1)}): pass").body[0]
            except SyntaxError:
                continue
            if isinstance(args, ast.FunctionDef):
                own = [a.arg for a in args.args.args if a.arg not in ("self", "cls")]
                needed = len(own) - len(args.args.defaults)
                if any(a.arg == "self" for a in args.args.args):
                    needed = None
            continue
        for hit in re.finditer(rf"(?<![\w.]){name}\(", code):
            calls += _call_at(code[hit.start() :])
    return calls, needed


def _call_at(code: str) -> list[str]:
    for end in range(1, len(code) + 1):
        if code[end - 1] == ")":
            try:
                node = ast.parse(code[:end], mode="eval").body
            except SyntaxError:
                continue
            return [code[:end]] if isinstance(node, ast.Call) else []
    return []


def _variants(calls: Sequence[str], values: Sequence[str]) -> Iterator[str]:
    for call in calls[:12]:
        yield from replaced(call, values[:16])


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
