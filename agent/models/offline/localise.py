"""Where the fault may be: Ochiai over line coverage, joined with the failure's frames and words."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.models.offline.issue_examples import IssueReport
from agent.models.offline.protocol import Steps, call
from agent.models.offline.repository_view import JOB, MOST_ELAPSED_S, Tree, driver, view_whole
from agent.models.offline.reproduce import Reproduction

MOST_FILES = 8


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Suspicion per file and line, 0 to 1."""

    lines: Mapping[str, Mapping[int, float]]
    frames: tuple[tuple[str, int], ...]
    summary: str
    call_id: str

    @property
    def ranked(self) -> list[str]:
        """The files, the most suspicious first."""
        return sorted(self.lines, key=lambda p: (-max(self.lines[p].values()), p))


@dataclass(frozen=True, slots=True)
class Unit:
    """A function, or the statements of a module or class outside functions."""

    path: str
    name: str
    first: int
    last: int
    suspicion: float
    """The most suspicious line's."""


def read_spectrum(text: str, call_id: str = "") -> Spectrum | None:
    """The answer of the driver's `cover`; None when nothing was covered."""
    lines: dict[str, dict[int, float]] = {}
    frames: list[tuple[str, int]] = []
    for line in text.split("\n"):
        if line.startswith("FRAMES "):
            frames = [(str(p), int(n)) for p, n in json.loads(line[7:])]
        hit = re.match(r"FILE (\S+) (.*)$", line)
        if hit:
            entries = (entry.partition("=") for entry in hit.group(2).split())
            lines.setdefault(hit.group(1), {}).update({int(n): float(s) for n, _, s in entries})
    if not lines:
        return None
    return Spectrum(lines, tuple(frames), text.split("\n", 1)[0], call_id)


def measure(found: Reproduction, tree: Tree) -> Steps[Spectrum | None]:
    """Run all tests with line coverage in the sandbox."""
    job = {
        "args": [*dict.fromkeys([*_outside(found, tree), *suite_args(tree)])],
        "count": list(found.tests),
        "limit_s": 240,
    }
    path = JOB.format("cover")
    yield from call(
        "create",
        "Which lines does the failing test run that passing tests do not? Collect line coverage "
        "per test and rank the lines by Ochiai.",
        path=path,
        content=json.dumps(job),
    )
    result = yield from call(
        "bash",
        "Coverage of each test, ranked.",
        command=f"cd /workspace && {driver(tree)} cover {path}",
        timeout_s=MOST_ELAPSED_S,
    )
    return read_spectrum(result.text, result.call_id)


def suite_args(tree: Tree) -> list[str]:
    """What pytest is given for the whole suite: the test files by name, whatever its settings."""
    return [t for t in tree.tests if re.search(r"(^|/)(test_[^/]*|[^/]*_test|tests)\.py$", t)]


def _outside(found: Reproduction, tree: Tree) -> list[str]:
    known = set(suite_args(tree))
    return [t for t in found.tests if t.split("::")[0] not in known]


def read_sources(spectrum: Spectrum, known: Mapping[str, str]) -> Steps[dict[str, str]]:
    """View the files that the failing test ran, the most suspicious first.

    `known`: files that were looked at before; they come along.
    """
    texts = dict(known)
    for path in spectrum.ranked[:MOST_FILES]:
        if path in known:
            continue
        top = max(spectrum.lines[path].values())
        text = yield from view_whole(
            path, f"{path}: {len(spectrum.lines[path])} lines run by the failing test, "
            f"the most suspicious at {top:.2f}."
        )  # fmt: skip
        if text is not None:
            texts[path] = text
    return texts


def suspicion(path: str, text: str, spectrum: Spectrum, report: IssueReport) -> dict[int, float]:
    """Suspicion per line of a file, statements whole, headers and constants with their users."""
    scores = dict(spectrum.lines.get(path, {}))
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            _spread(scores, node)
    for at, (where, line) in enumerate(reversed(spectrum.frames)):
        if where == path and line in scores:
            scores[line] *= 1.6 if at == 0 else 1.15
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [scores.get(n, 0.0) for n in range(node.body[0].lineno, _end(node) + 1)]
            top = max(inner, default=0.0)
            if top and node.name in report.words:
                for n in range(node.body[0].lineno, _end(node) + 1):
                    if n in scores:
                        scores[n] *= 1.25
            for n in range(node.lineno, node.body[0].lineno):
                scores[n] = max(scores.get(n, 0.0), 0.9 * top)
    _constants(tree, scores)
    return scores


def _spread(scores: dict[int, float], node: ast.stmt) -> None:
    span = range(node.lineno, _end(node) + 1)
    top = max((scores.get(n, 0.0) for n in span), default=0.0)
    if top:
        scores.update(dict.fromkeys(span, top))


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _constants(tree: ast.Module, scores: dict[int, float]) -> None:
    """Names bound outside functions are as suspicious as the lines that use them, nearly."""
    users: dict[str, float] = {}
    for node in ast.walk(tree):
        name = (
            node.id
            if isinstance(node, ast.Name)
            else node.attr
            if isinstance(node, ast.Attribute)
            else ""
        )
        if name and isinstance(node, ast.Name | ast.Attribute):
            users[name] = max(users.get(name, 0.0), scores.get(node.lineno, 0.0))
    bodies = [tree.body, *(n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef))]
    for body in bodies:
        for node in body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            names = [t.id for t in targets if isinstance(t, ast.Name)]
            top = max((users.get(n, 0.0) for n in names), default=0.0)
            for n in range(node.lineno, _end(node) + 1) if top else ():
                scores[n] = max(scores.get(n, 0.0), 0.75 * top)


def units_of(path: str, text: str, scores: Mapping[int, float]) -> list[Unit]:
    """The functions of a file that hold a suspicious line, and what is outside of them."""
    found: list[Unit] = []
    taken: set[int] = set()
    tree = ast.parse(text)

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                span = range(first, _end(node) + 1)
                taken.update(span)
                top = max((scores.get(n, 0.0) for n in span), default=0.0)
                if top:
                    found.append(Unit(path, f"{prefix}{node.name}", first, _end(node), top))

    visit(tree.body, "")
    rest = [n for n, s in scores.items() if n not in taken and s]
    if rest:
        top = max(scores[n] for n in rest)
        found.append(Unit(path, "its definitions outside functions", min(rest), max(rest), top))
    return found
