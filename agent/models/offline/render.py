"""Writing the regression test."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.models.offline.issue_examples import Example
from agent.text.titles import class_of_name, name_of_title

LATE = "TimeoutError"
"""What a test raises whose call does not end."""
LIMIT_S = 2
"""After so many seconds a call counts as one that does not end."""
_ALARM = f"""def _late(*_):
    raise TimeoutError("still running after {LIMIT_S} s")

"""


@dataclass(frozen=True, slots=True)
class ShownExample:
    """An example that shows the bug."""

    example: Example
    kind: Literal["equals", "raises", "ends"]
    """It should equal `wanted`, raise `wanted`, or just end without an exception."""
    wanted: str
    what: str
    """What was seen, in words."""
    words: str
    """Words of the test's failing output."""
    certainty: int
    """0 to 4: how sure it is that this is the bug of the issue."""


def render_test(
    title: str, findings: Sequence[ShownExample], style: str, prefix: str = "test"
) -> str:
    """The test file's text; `prefix`: how the names of its functions begin."""
    imports: list[str] = []
    bodies: list[list[str]] = []
    for finding in findings:
        lines = [line for s in finding.example.setup for line in s.split("\n")]
        imports += [line for line in lines if re.match(r"(?:from \S+ )?import ", line)]
        rest = [line for line in lines if not re.match(r"(?:from \S+ )?import ", line)]
        check = _check(finding, style)
        bodies.append(_within_limit(rest, check) if finding.words == LATE else rest + check)
    code = "\n".join(line for body in bodies for line in body)
    late = any(finding.words == LATE for finding in findings)
    imports += ["import signal"] if late else []
    heads = sorted(dict.fromkeys(used for line in imports if (used := _needed_import(line, code))))
    text = re.sub(r"[\"\\\n]+", " ", title).strip().rstrip(".")
    parts = [f'"""Regression test: {text}."""\n']
    needs_pytest = style == "pytest" and any("pytest." in line for b in bodies for line in b)
    first = (
        ["import unittest"] if style == "unittest" else ["import pytest"] if needs_pytest else []
    )
    parts.append("\n".join([*first, *([""] if first else []), *heads]) + "\n\n")
    if late:
        parts.append(_ALARM)
    prefix = "test" if style == "unittest" else prefix
    names = [
        f"{prefix}_reported_example{'_' + str(n + 1) if n else ''}" for n in range(len(bodies))
    ]
    if style == "unittest":
        parts.append(f"class {class_of_name(name_of_title(title))}(unittest.TestCase):")
        methods = [_function(n, "self", b, "    ") for n, b in zip(names, bodies, strict=True)]
        parts.append("\n\n".join(methods))
        return "\n".join(parts) + "\n"
    parts.append("\n\n\n".join(_function(n, "", b, "") for n, b in zip(names, bodies, strict=True)))
    return "\n".join(parts) + "\n"


def _within_limit(setup: Sequence[str], check: Sequence[str]) -> list[str]:
    """A test's body that ends with `LATE` where the call does not end by itself."""
    return [
        "signal.signal(signal.SIGALRM, _late)",
        f"signal.alarm({LIMIT_S})",
        "try:",
        *(f"    {line}" for line in (*setup, *check)),
        "finally:",
        "    signal.alarm(0)",
    ]


def _needed_import(line: str, code: str) -> str:
    """An import cut down to the names that the code uses; empty if it uses none."""
    node = ast.parse(line.strip()).body[0]
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return line
    node.names = [
        n for n in node.names if re.search(rf"\b{(n.asname or n.name).split('.')[0]}\b", code)
    ]
    return ast.unparse(node) if node.names else ""


def _function(name: str, argument: str, body: Sequence[str], pad: str) -> str:
    lines = [f"{pad}def {name}({argument}):"]
    return "\n".join(lines + [f"{pad}    {line}" if line else "" for line in body])


def _check(finding: ShownExample, style: str) -> list[str]:
    expr, wanted = finding.example.expr, finding.wanted
    if finding.kind == "ends":
        return [expr]
    if finding.kind == "raises":
        opener = "self.assertRaises" if style == "unittest" else "pytest.raises"
        return [f"with {opener}({wanted}):", f"    {expr}"]
    if finding.example.printed:
        expr, wanted = f"str({expr})", repr(_text(wanted))
    if style == "unittest":
        if _is_float(wanted):
            return [f"self.assertAlmostEqual({expr}, {wanted})"]
        return [f"self.assertEqual({expr}, {wanted})"]
    if wanted in ("True", "False", "None"):
        return [f"assert {expr} is {wanted}"]
    if _is_float(wanted):
        return [f"assert {expr} == pytest.approx({wanted})"]
    return [f"assert {expr} == {wanted}"]


def _text(wanted: str) -> str:
    """What printing a value shows."""
    try:
        return str(ast.literal_eval(wanted))
    except (ValueError, SyntaxError):
        return wanted


def _is_float(text: str) -> bool:
    return re.fullmatch(r"-?\d+\.\d+(?:e-?\d+)?", text) is not None
