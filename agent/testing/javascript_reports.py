"""Results per test of Bun, Deno and Playwright.

Sources: what Bun 1.4 (`--reporter=junit`), Deno 2.9 (`--junit-path`) and Playwright 1.62 with its
component tests (JSON reporter) write.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from agent.testing.junit import cut, merge_results, parse_junit, result_of_case
from agent.testing.report import Outcome, TestResult
from agent.testing.reports import inner, listed, read_json, seconds_of, text_of

_COLOURS = re.compile(r"\x1b\[[0-9;]{0,20}m")
_DEEPEST = 40


def parse_bun(data: bytes, output: str) -> tuple[TestResult, ...]:
    """Names: `path/to.test.ts::titles of groups and test`, as `-t` compares them.

    A file that cannot be loaded is in no report: it is an error under its path, after what the run
    printed.
    """
    return merge_results((*parse_junit(data, _bun_case), *_not_loaded_by_bun(output)))


def _bun_case(case: Element) -> TestResult:
    # The groups are written from the innermost outwards.
    groups = [group for group in case.get("classname", "").split(" > ") if group]
    title = " ".join([*reversed(groups), case.get("name", "")])
    return result_of_case(case, f"{case.get('file', '')}::{title}")


_BUN_FILE = re.compile(r"^(\S+\.[cm]?[jt]sx?):$")


def _not_loaded_by_bun(output: str) -> Iterator[TestResult]:
    file = ""
    for line in _COLOURS.sub("", output).splitlines():
        if found := _BUN_FILE.fullmatch(line):
            file = found[1]
        elif file and line.startswith("# Unhandled error between tests"):
            yield TestResult(name=file, outcome="error", message=line.lstrip("# "))
            file = ""


def parse_deno(data: bytes, output: str) -> tuple[TestResult, ...]:
    """Names: `path/to_test.ts::test > step`. A file that cannot be loaded is an error under its
    path, after what the run printed."""
    results = parse_junit(data, _deno_case)
    # Steps of `node:test` are said to stand in a file of Deno's own; their test is where it is.
    files = {
        title: file
        for file, _, title in (result.name.partition("::") for result in results)
        if file
    }
    placed = (
        result.model_copy(update={"name": f"{_file_of(result.name[2:], files)}{result.name}"})
        if result.name.startswith("::")
        else result
        for result in results
    )
    broken = _DENO_BROKEN.findall(_COLOURS.sub("", output))
    errors = (
        TestResult(name=_plain(path), outcome="error", message="It could not be loaded.")
        for path in broken
    )
    return merge_results((*placed, *errors))


_DENO_BROKEN = re.compile(r"^Uncaught error from (\S+) FAILED", re.M)


def _deno_case(case: Element) -> TestResult:
    file = _plain(case.get("classname", ""))
    return result_of_case(
        case, f"{'' if file.startswith('ext:') else file}::{case.get('name', '')}"
    )


def _plain(path: str) -> str:
    return path.removeprefix("./")


def _file_of(title: str, files: dict[str, str]) -> str:
    parts = title.split(" > ")[:_DEEPEST]
    heads = (" > ".join(parts[:count]) for count in range(1, len(parts)))
    return next((files[head] for head in heads if head in files), "")


_PLAYWRIGHT: dict[str, Outcome] = {
    "expected": "passed",
    "flaky": "passed",
    "unexpected": "failed",
    "skipped": "skipped",
}


def parse_playwright(data: bytes, root: str) -> tuple[TestResult, ...]:
    """Names: `path/below/root.spec.ts::titles of groups and test`.

    A test that runs in several projects (browsers) fails if it fails in one, and is skipped if all
    skip it.
    """
    report = read_json(data)
    folder = text_of(inner(report, "config"), "rootDir")
    by_name: defaultdict[str, list[TestResult]] = defaultdict(list)
    for suite in listed(report, "suites"):
        for result in _specs(suite, "", _below(folder, root)):
            by_name[result.name].append(result)
    errors = (
        TestResult(name=path, outcome="error", message=_text(error, "stack", "message"))
        for error in listed(report, "errors")
        if (path := _below(text_of(inner(error, "location"), "file"), root))
    )
    return merge_results((*map(_worst_that_ran, by_name.values()), *errors))


def _specs(suite: Any, titles: str, folder: str, depth: int = 0) -> Iterator[TestResult]:
    for spec in listed(suite, "specs"):
        file = "/".join(filter(None, (folder, text_of(spec, "file"))))
        title = f"{titles} {text_of(spec, 'title')}".strip()
        tests = (test for test in listed(spec, "tests") if isinstance(test, dict))
        yield from (_playwright_result(f"{file}::{title}", test) for test in tests)
    if depth < _DEEPEST:
        for group in listed(suite, "suites"):
            # The outermost is the file.
            yield from _specs(group, f"{titles} {text_of(group, 'title')}", folder, depth + 1)


def _playwright_result(name: str, test: Any) -> TestResult:
    outcome = _PLAYWRIGHT.get(text_of(test, "status"), "error")
    if outcome == "passed" and text_of(test, "expectedStatus") not in ("passed", ""):
        # It fails as it is marked, which says nothing of the code.
        outcome = "skipped"
    runs = listed(test, "results")
    last = runs[-1] if runs else None
    messages = [_text(error, "message") for error in listed(last, "errors")]
    return TestResult(
        name=name,
        outcome=outcome,
        message="" if outcome == "passed" else cut("\n".join(messages)),
        duration_s=seconds_of(last, "duration") / 1000,
    )


def _worst_that_ran(results: list[TestResult]) -> TestResult:
    ran = [result for result in results if result.outcome != "skipped"]
    return next((r for r in ran if r.outcome != "passed"), (ran or results)[0])


def _below(path: str, root: str) -> str:
    return "" if path == root else path.removeprefix(f"{root}/")


def _text(value: Any, *keys: str) -> str:
    found = next((text for key in keys if (text := text_of(value, key))), "")
    return cut(_COLOURS.sub("", found))
