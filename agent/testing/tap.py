"""Results per test out of the Test Anything Protocol, as node-tap, tape and AVA write it.

Sources: testanything.org (version 14: subtests, directives, diagnostics) and what node-tap 16 and
tape 5 print. A test is a group of assertions here: with node-tap a subtest that makes some itself,
with tape what follows a `# title`. An assertion's own words are no name: many say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.testing.junit import cut, merge_results
from agent.testing.report import Outcome, TestResult

_POINT = re.compile(r"(not )?ok\b(?: \d+)?(?: - | )?(.*)")
_DIRECTIVE = re.compile(r"(?<!\\)\s*#\s*(?:time=|(?P<unmade>skip|todo)\b).*$", re.IGNORECASE)
_PLAN = re.compile(r"1\.\.\d+")
_DEEPEST = 40


@dataclass
class _Point:
    """One assertion."""

    title: str
    ok: bool
    message: str = ""


@dataclass
class _Group:
    """A subtest, or what follows a title; the whole output at the top."""

    title: str
    indent: int
    ok: bool | None = None
    """None: its end was not seen."""
    points: list[_Point] = field(default_factory=list)
    inner: list[_Group] = field(default_factory=list)


def parse_tap(data: bytes) -> tuple[tuple[TestResult, ...], bool]:
    """The results, and whether the output came to its end.

    Names: node-tap's `path/test.js::outer > inner`, and `path/test.js::words` for an assertion
    outside any subtest; tape's are titles alone, as it does not say which file it runs.
    """
    whole, complete = _read(data.decode(errors="replace").splitlines())
    results = [r for group in whole.inner if group.indent for r in _of_file(group)]
    titled = (group for group in whole.inner if not group.indent and group.points)
    results += [_result(group.title, group, ok=True) for group in titled]
    return merge_results(results), complete


_ENDED = re.compile(r"(\S+\.[cm]?[jt]sx?) (?:exited |timed out)|No tests found in (\S+)")


def parse_ava(data: bytes) -> tuple[tuple[TestResult, ...], bool]:
    """AVA's TAP, in which every point is a test; and whether the output came to its end.

    Names are its own: `file › title`, of a single file the title alone. A file that cannot be run
    is one error under its path.
    """
    results: list[TestResult] = []
    complete, diagnostic = False, ""
    for line in data.decode(errors="replace").splitlines():
        text = line.strip()
        if diagnostic:
            if line.startswith(diagnostic) and text == "...":
                diagnostic = ""
            elif results and results[-1].outcome != "passed":
                message = f"{results[-1].message}{line.removeprefix(diagnostic)}\n"
                results[-1] = results[-1].model_copy(update={"message": message})
        elif text == "---":
            diagnostic = " " * (len(line) - len(line.lstrip(" ")))
        elif _PLAN.fullmatch(text):
            complete = True
        elif found := _POINT.fullmatch(line.rstrip()):
            results.append(_ava_point(found))
    cut_ones = (r.model_copy(update={"message": cut(r.message)}) for r in results)
    return merge_results(cut_ones), complete


def _ava_point(found: re.Match[str]) -> TestResult:
    directive = _DIRECTIVE.search(found[2])
    title = _words(_DIRECTIVE.sub("", found[2]))
    if directive is not None and directive["unmade"]:
        return TestResult(name=title, outcome="skipped")
    if found[1] and (ended := _ENDED.match(title)):
        return TestResult(name=ended[1] or ended[2], outcome="error", message=f"{title}\n")
    return TestResult(name=title, outcome="failed" if found[1] else "passed")


def _read(lines: list[str]) -> tuple[_Group, bool]:
    """The tree of groups. Those of a `# title` have the indent 0, subtests that of their lines."""
    whole = _Group("", 0)
    stack, titled, last = [whole], whole, None
    complete, diagnostic = False, ""
    for line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        if diagnostic:
            if line.startswith(diagnostic) and text == "...":
                diagnostic = ""
            elif last is not None:
                last.message += line.removeprefix(diagnostic) + "\n"
            continue
        while len(stack) > 1 and stack[-1].indent > indent and text and stack[-1].ok is not None:
            stack.pop()
        if text == "---":
            diagnostic = " " * indent
        elif text.startswith("# Subtest: ") and len(stack) < _DEEPEST:
            group = _Group(_words(text[11:]), indent + 4)
            _at(stack, indent).inner.append(group)
            stack.append(group)
        elif text.startswith("# ") and not indent:
            titled = _Group(_words(text[2:]), 0)
            whole.inner.append(titled)
        elif _PLAN.match(text):
            complete = complete or not indent
        elif found := _POINT.fullmatch(text):
            last = _take_point(found, indent, stack, titled)
    return whole, complete


def _take_point(
    found: re.Match[str], indent: int, stack: list[_Group], titled: _Group
) -> _Point | None:
    """Put a test point where it belongs: the end of a subtest, or an assertion."""
    opens = found[2].endswith(" {")
    directive = _DIRECTIVE.search(found[2])
    title = _words(_DIRECTIVE.sub("", found[2].removesuffix(" {")))
    ok = not found[1]
    if opens and len(stack) < _DEEPEST:
        group = _Group(title, indent + 4, ok)
        _at(stack, indent).inner.append(group)
        stack.append(group)
        return None
    ended = next((g for g in reversed(stack) if g.indent == indent + 4 and g.ok is None), None)
    if ended is not None and ended.title == title:
        del stack[stack.index(ended) :]
        ended.ok = ok
        return None
    if directive is not None and directive["unmade"]:
        return None
    point = _Point(title, ok)
    (_at(stack, indent) if indent else titled).points.append(point)
    return point


def _at(stack: list[_Group], indent: int) -> _Group:
    return next((g for g in reversed(stack) if g.indent <= indent), stack[0])


def _words(text: str) -> str:
    return text.replace("\\#", "#").strip()


def _of_file(group: _Group) -> list[TestResult]:
    """The results of one file of node-tap's."""
    found = [
        TestResult(
            name=f"{group.title}::{point.title}",
            outcome="passed" if point.ok else "failed",
            message=cut(point.message),
        )
        for point in group.points
    ]
    found += [r for inner in group.inner for r in _of_subtest(f"{group.title}::", inner)]
    if not group.ok and all(r.outcome == "passed" for r in found):
        found.append(TestResult(name=group.title, outcome="error", message="The file failed."))
    return found


def _of_subtest(before: str, group: _Group) -> Iterator[TestResult]:
    name = f"{before}{group.title}"
    within = [r for inner in group.inner for r in _of_subtest(f"{name} > ", inner)]
    yield from within
    explained = any(r.outcome != "passed" for r in within)
    if group.points or not within or not (group.ok or explained):
        yield _result(name, group, ok=bool(group.ok) or explained)


def _result(name: str, group: _Group, *, ok: bool) -> TestResult:
    failed = [point for point in group.points if not point.ok]
    outcome: Outcome = "failed" if failed or not ok else "passed"
    message = "\n".join(f"{point.title}\n{point.message}" for point in failed)
    return TestResult(name=name, outcome=outcome, message=cut(message))
