"""From what an issue shows to a test that fails because of the bug."""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.models.offline.input_search import hunted_examples
from agent.models.offline.issue_examples import Example, IssueReport
from agent.models.offline.issue_match import judge
from agent.models.offline.protocol import Steps, call
from agent.models.offline.render import LATE, ShownExample, render_test
from agent.models.offline.repository_view import (
    JOB,
    MOST_ELAPSED_S,
    TestRun,
    Tree,
    driver,
    is_test,
    view_whole,
)
from agent.models.offline.variants import of_failing_test
from agent.text.titles import name_of_title

MOST_EXAMPLES = 60
STANDARD = {
    "date": "datetime", "datetime": "datetime", "timedelta": "datetime", "time": "datetime",
    "timezone": "datetime", "Decimal": "decimal", "Fraction": "fractions", "Path": "pathlib",
    "OrderedDict": "collections", "defaultdict": "collections", "Counter": "collections",
    "deque": "collections", "StringIO": "io", "BytesIO": "io", "partial": "functools",
    "islice": "itertools", "dataclass": "dataclasses",
}  # fmt: skip
MODULES = frozenset({
    "datetime", "math", "json", "io", "os", "re", "tempfile", "itertools", "decimal",
    "collections", "pathlib", "random", "string", "copy", "time",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What shows the bug."""

    command: str
    tests: tuple[str, ...]
    """The failing tests as pytest takes them."""
    what: str
    """In words."""
    inputs: tuple[str, ...] = ()
    """Literals of the example: a fix that names them is suspect."""
    examples: tuple[Example, ...] = ()
    """What the tests look at, to be varied."""
    plain: str = ""
    """The test's file if it needs nothing of pytest but what it imports, and may run without."""
    crashed: bool = False
    """Whether the bug is an exception where a value was due."""
    by_chance: bool = False
    """Whether all it asks for is one truth value, which every second change would give."""


def from_failing_tests(run: TestRun, tree: Tree) -> Steps[Reproduction | None]:
    """Declare tests that fail already."""
    ids = tuple(dict.fromkeys(_node_id(name, tree) for name in run.failing))
    hit = re.search(r"\b\w*(?:Error|Exception)\b", run.texts[0] if run.texts else "")
    words = hit.group(0) if hit else "assert"
    command = f"{tree.pytest} {' '.join(ids)}"
    result = yield from call(
        "reproduction",
        f"{len(ids)} test(s) of the repository fail already; they show the bug as they are.",
        command=command,
        files={},
        expected_failure=words,
    )
    if not result.text.startswith("accepted"):
        return None
    examples = []
    for name in ids[:3]:
        path, _, test = name.partition("::")
        text = yield from view_whole(path, "What does the failing test look at?")
        example = of_failing_test(text, test.split("::")[-1].split("[")[0]) if text else None
        examples += [example] if example else []
    what = f"{', '.join(ids)} fail(s) with {words}"
    return Reproduction(command, ids, what, examples=tuple(examples))


def _node_id(name: str, tree: Tree) -> str:
    """A test's name as pytest takes it; dotted names are unittest's."""
    if "::" in name or "/" in name or name.endswith(".py"):
        return name
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        path = "/".join(parts[:size]) + ".py"
        match = next((f for f in tree.tests if f == path or f.endswith("/" + path)), None)
        if match:
            return "::".join([match, *parts[size:]])
    return name


def from_issue(title: str, report: IssueReport, tree: Tree) -> Steps[Reproduction | None]:
    """Try the issue's examples, then declare a test of those that show the bug."""
    examples = [*_from_traces(report), *report.examples][:MOST_EXAMPLES]
    ready = yield from _with_imports(examples, tree)
    findings = yield from _probe(ready, report, tree)
    if not findings and report.traces:
        hunted = yield from hunted_examples(report, tree)
        ready = yield from _with_imports(hunted, tree)
        trace = report.traces[0]
        only = [trace.exception, trace.frames[-1][2]] if trace.frames else []
        findings = (yield from _probe(ready, report, tree, only))[:1]
    if not findings:
        return None
    style = yield from _style(tree)
    named = tree.test_file.replace("*", name_of_title(title), 1).replace("*", "")
    folder, name = tree.test_folder, named
    path = f"{folder}/{name}" if folder else name
    while path in tree.files:
        path = path.removesuffix(".py") + "_issue.py"
    return (yield from _declare(title, path, findings, style, tree))


def _declare(
    title: str, path: str, findings: Sequence[ShownExample], style: str, tree: Tree
) -> Steps[Reproduction | None]:
    command = f"{tree.pytest} {path}"
    result = yield from call(
        "reproduction",
        "The issue's example fails as it says: " + "; ".join(f.what for f in findings),
        command=command,
        files={path: render_test(title, findings, style, tree.test_prefix)},
        expected_failure=findings[0].words,
    )
    if not result.text.startswith("accepted"):
        return None
    what = "; ".join(f.what for f in findings)
    inputs = tuple(lit for f in findings for lit in literals_of(f.example.expr))
    examples = tuple(f.example for f in findings)
    return Reproduction(
        command,
        (path,),
        what,
        inputs,
        examples,
        plain=path,
        crashed=all(f.words not in ("AssertionError", "DID NOT RAISE", LATE) for f in findings),
        by_chance=len({(f.example.expr, f.wanted) for f in findings}) == 1
        and findings[0].wanted in ("True", "False"),
    )


def literals_of(code: str) -> tuple[str, ...]:
    """The literals in a piece of code."""
    tree = ast.parse(code)
    return tuple(repr(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant))


def _style(tree: Tree) -> Steps[str]:
    result = yield from call(
        "search",
        "A regression test should look like the others: are they unittest classes?",
        pattern=r"unittest\.TestCase|\(TestCase\)|import pytest",
        glob="*test*.py",
    )
    has_pytest = "import pytest" in result.text
    return "unittest" if "TestCase" in result.text and not has_pytest else "pytest"


def _from_traces(report: IssueReport) -> list[Example]:
    """The calls that a traceback shows in its frames' code, outermost first."""
    found = []
    for trace in report.traces:
        for _, _, _, code in trace.frames:
            try:
                body = ast.parse(code).body
            except SyntaxError:
                continue
            for node in ast.walk(ast.Module(body, [])):
                if isinstance(node, ast.Call) and not _is_print(node):
                    found.append(Example(ast.unparse(node), crashed=trace.exception))
                    break
    return found


def _is_print(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "print"


def bound_names(tree: ast.AST) -> set[str]:
    """The names that code gives a meaning to, in whatever scope; `*` stands for all of a module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


def free_names(example: Example) -> list[str]:
    """Names that an example reads and does not define."""
    try:
        tree = ast.parse("\n".join([*example.setup, example.expr]))
    except SyntaxError:
        return []
    stored = bound_names(tree) | set(dir(builtins))
    loads = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id not in stored]
    return list(dict.fromkeys(loads))


def _with_imports(examples: Sequence[Example], tree: Tree) -> Steps[list[Example]]:
    """The examples whose names can all be imported, with the imports before them."""
    wanted = list(dict.fromkeys(n for e in examples for n in free_names(e)))
    unknown = [n for n in wanted if n not in STANDARD and n not in MODULES]
    places: dict[str, str] = {}
    if unknown:
        titles = [n[:1].upper() + n[1:] for n in unknown]
        either = "|".join(re.escape(n) for n in dict.fromkeys([*unknown, *titles]))
        result = yield from call(
            "search",
            "Where are the names that the issue's example uses defined?",
            pattern=rf"^(class|def|async def) ({either})\b|^({either})\s*(:.*)?=",
            glob="*.py",
        )
        places = _places(result.lines, unknown)
    ready = []
    for example in examples:
        lines = _imports(free_names(example), places, tree)
        if lines is not None:
            ready.append(replace(example, setup=(*lines, *example.setup)))
    return ready


def _places(lines: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    places: dict[str, str] = {}
    for line in lines:
        hit = re.match(r"([^:]+\.py):\d+:(?:class |def |async def )?(\w+)", line)
        if hit and not is_test(hit.group(1)):
            places.setdefault(hit.group(2), hit.group(1))
    return places


def _imports(names: Sequence[str], places: dict[str, str], tree: Tree) -> list[str] | None:
    lines, objects = [], []
    modules = {tree.module_of(f): f for f in tree.sources}
    for name in names:
        as_class = name[:1].upper() + name[1:]
        if name in places:
            lines.append(f"from {tree.module_of(places[name])} import {name}")
        elif name in modules:
            lines.append(f"import {name}")
        elif inner := next((m for m in modules if m.endswith(f".{name}")), None):
            lines.append(f"from {inner.rpartition('.')[0]} import {name}")
        elif name in STANDARD:
            lines.append(f"from {STANDARD[name]} import {name}")
        elif name in MODULES:
            lines.append(f"import {name}")
        elif as_class in places:
            lines.append(f"from {tree.module_of(places[as_class])} import {as_class}")
            objects.append(f"{name} = {as_class}()")
        else:
            return None
    return [*lines, *objects]


def _probe(
    examples: Sequence[Example], report: IssueReport, tree: Tree, only: Sequence[str] = ()
) -> Steps[list[ShownExample]]:
    """What the examples give today, and which of them show a bug; the surest ones only."""
    if not examples:
        return []
    job = {
        "limit_s": 10,
        "only": list(only),
        "most": 20,
        "examples": [
            {
                "id": n,
                "setup": "\n".join(e.setup),
                "expr": e.expr,
                "expected": e.expected,
                "printed": e.printed,
            }
            for n, e in enumerate(examples)
        ],
    }
    path = JOB.format("examples")
    yield from call(
        "create",
        f"{len(examples)} expression(s) of the issue can be tried. What do they give today?",
        path=path,
        content=json.dumps(job, indent=1),
    )
    result = yield from call(
        "bash",
        "Each in a process of its own, under a time limit.",
        command=f"cd /workspace && {driver(tree)} probe {path}",
        timeout_s=MOST_ELAPSED_S,
    )
    findings = []
    for line in result.lines:
        if line.startswith('{"id"'):
            seen = json.loads(line)
            finding = judge(examples[seen["id"]], seen, report)
            if finding is not None:
                findings.append(finding)
    best = max((f.certainty for f in findings), default=0)
    sure = [f for f in findings if f.certainty == best]
    by_call = {(f.example.expr, f.example.setup): f for f in reversed(sure)}
    return list(by_call.values())[::-1][:4]
