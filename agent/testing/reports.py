"""Results per test from the runners' own formats: pytest, Jest, Vitest, Mocha, Go, Cargo.

Every parser takes what hostile code may have written and gives nothing for what it cannot read.
"""

from __future__ import annotations

import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeGuard

from agent.testing.junit import cut, merge_results
from agent.testing.report import Entered, Function, Outcome, TestResult, finite_seconds
from agent.text.surrogates import join_surrogates

_JEST: dict[str, Outcome] = {
    "passed": "passed",
    "failed": "failed",
    "skipped": "skipped",
    "pending": "skipped",
    "todo": "skipped",
    "disabled": "skipped",
}
_PYTEST: dict[str, Outcome] = {
    "passed": "passed",
    "failed": "failed",
    "error": "error",
    "skipped": "skipped",
}
MOST_LINES = 1_000_000
MAX_JSON_BYTES = 32 * 1024**2
"""Larger documents are not read: empty lists take 30 times their text in memory."""
_GO: dict[str, Outcome] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
_CARGO: dict[str, Outcome] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


def parse_entered(data: bytes) -> Entered | None:
    """Which functions of watched files were entered, of a pytest report; None: it does not say."""
    by_test: dict[str, tuple[Function, ...]] = {}
    outside: list[Function] = []
    files: tuple[str, ...] | None = None
    for record in _records(data):
        if not isinstance(record, dict) or "entered" not in record:
            continue
        places = tuple((p[0], p[1]) for p in listed(record, "entered") if _is_place(p))
        if test := text_of(record, "by"):
            by_test[test] = places
        else:
            outside += places
            files = tuple(path for path in listed(record, "watched") if isinstance(path, str))
    if files is None:
        return None
    return Entered(files=files, by_test=by_test, outside_of_tests=tuple(outside))


def _is_place(value: Any) -> TypeGuard[list[Any]]:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def parse_pytest(data: bytes) -> tuple[tuple[TestResult, ...], bool]:
    """What `pytest_report.py` wrote, a line each; and whether every run in it went to its end."""
    results: list[TestResult] = []
    started = ended = 0
    for record in _records(data):
        outcome = _PYTEST.get(text_of(record, "outcome"))
        if inner(record, "started") is True:
            started += 1
        elif isinstance(inner(record, "ended"), int):
            # 2, 3: interrupted, or an error of the runner's own.
            ended += record["ended"] not in (2, 3)
        elif outcome is not None:
            results.append(
                TestResult(
                    name=text_of(record, "name"),
                    outcome=outcome,
                    message=cut(text_of(record, "message").strip()),
                    duration_s=seconds_of(record, "seconds"),
                )
            )
    return merge_results(results), ended == started > 0


def parse_jest(data: bytes, root: str) -> tuple[TestResult, ...]:
    """Jest's and Vitest's JSON. Names: `path/below/root.test.ts::full title`."""
    return merge_results(_jest(read_json(data), root))


def _jest(report: Any, root: str) -> Iterator[TestResult]:
    for file in listed(report, "testResults"):
        path = text_of(file, "name").removeprefix(f"{root}/")
        cases = listed(file, "assertionResults")
        if not cases and text_of(file, "status") == "failed":
            yield TestResult(name=path, outcome="error", message=cut(text_of(file, "message")))
        for case in cases:
            outcome = _JEST.get(text_of(case, "status"))
            if outcome is not None:
                messages = [m for m in listed(case, "failureMessages") if isinstance(m, str)]
                yield TestResult(
                    name=f"{path}::{text_of(case, 'fullName')}",
                    outcome=outcome,
                    message=cut("\n".join(messages)),
                    duration_s=seconds_of(case, "duration") / 1000,
                )


def parse_mocha(data: bytes, root: str, output: str = "") -> tuple[TestResult, ...]:
    """Mocha's JSON. Names: `path/below/root.js::full title`.

    Before 9.2 Mocha writes it nowhere but into its `output`, and older ones do not say which file a
    test is in: the title alone is the name then.
    """
    reports = [read_json(data)] if data else _printed_by_mocha(output)
    groups: tuple[tuple[str, Outcome], ...] = (
        ("passes", "passed"),
        ("failures", "failed"),
        ("pending", "skipped"),
    )
    return merge_results(
        TestResult(
            name=_mocha_name(case, root),
            outcome=outcome,
            message=cut(text_of(inner(case, "err"), "stack")),
            duration_s=seconds_of(case, "duration") / 1000,
        )
        for report in reports
        for group, outcome in groups
        for case in listed(report, group)
    )


_MOCHA_STARTS = re.compile(r'^\{\s{0,10}"stats":', re.M)
_MOST_PRINTED = 20


def _printed_by_mocha(output: str) -> Iterator[Any]:
    """Every such report in an output; tests print there as well, and may print the like."""
    if len(output) > MAX_JSON_BYTES:
        return
    for found in islice(_MOCHA_STARTS.finditer(output), _MOST_PRINTED):
        try:
            yield json.JSONDecoder().raw_decode(output, found.start())[0]
        except (ValueError, RecursionError):
            continue


def _mocha_name(case: Any, root: str) -> str:
    file, title = text_of(case, "file").removeprefix(f"{root}/"), text_of(case, "fullTitle")
    return f"{file}::{title}" if file else title


def parse_go(output: str) -> tuple[tuple[TestResult, ...], str]:
    """`go test -json`: the results and what the tests printed, as text for people.

    Names: `package::Test/sub`. A package that does not build is one error under its own name.
    """
    printed: list[str] = []
    by_test: defaultdict[str, list[str]] = defaultdict(list)
    results: list[TestResult] = []
    tested: set[str] = set()
    for line in output.splitlines(keepends=True):
        event = read_json(line.encode()) if line.startswith("{") else None
        if not isinstance(event, dict):
            printed.append(line)
            continue
        package, test = text_of(event, "Package"), text_of(event, "Test")
        name = f"{package}::{test}" if test else package
        action = text_of(event, "Action")
        if action == "output":
            printed.append(text_of(event, "Output"))
            by_test[name].append(text_of(event, "Output"))
        elif action in _GO and (test or (action == "fail" and package not in tested)):
            tested.add(package)
            outcome = _GO[action] if test else "error"
            message = "" if outcome == "passed" else cut("".join(by_test[name]))
            results.append(
                TestResult(
                    name=name,
                    outcome=outcome,
                    message=message,
                    duration_s=seconds_of(event, "Elapsed"),
                )
            )
    return merge_results(results), "".join(printed)


_CARGO_LINE = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)\b", re.M)
_CARGO_TEXT = re.compile(r"^---- (\S+) stdout ----\n(.*?)(?=^----|^failures:|\Z)", re.M | re.S)


def parse_cargo(output: str) -> tuple[TestResult, ...]:
    """`cargo test`: libtest's lines. Names: the path of the test's function."""
    texts = dict(_CARGO_TEXT.findall(output))
    return merge_results(
        TestResult(name=name, outcome=_CARGO[word], message=cut(texts.get(name, "").strip()))
        for name, word in _CARGO_LINE.findall(output)
    )


_CARGO_STARTS = re.compile(r"^running \d+ tests?$", re.M)
_CARGO_ENDS = re.compile(r"^test result: ", re.M)


def cargo_is_complete(output: str) -> bool:
    """Whether each test program that `cargo test` started went through all its tests."""
    return len(_CARGO_STARTS.findall(output)) == len(_CARGO_ENDS.findall(output))


def _records(data: bytes) -> Iterator[Any]:
    """The JSON objects of a report with one a line; of lines beyond `MOST_LINES`, none."""
    for line in islice(io.BytesIO(data), MOST_LINES):
        if line.startswith(b"{"):
            yield read_json(line)


def read_json(data: bytes) -> Any:
    """A JSON document; None if it is none, or larger than `MAX_JSON_BYTES`."""
    if len(data) > MAX_JSON_BYTES:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def inner(value: Any, key: str) -> Any:
    """What an object has under a key; None where it is no object."""
    return value.get(key) if isinstance(value, dict) else None


def listed(value: Any, key: str) -> list[Any]:
    """The list that an object has under a key; empty where there is none."""
    found = inner(value, key)
    return found if isinstance(found, list) else []


def text_of(value: Any, key: str) -> str:
    """The text that an object has under a key; empty where there is none."""
    found = inner(value, key)
    return join_surrogates(found) if isinstance(found, str) else ""


def seconds_of(value: Any, key: str) -> float:
    """The number that an object has under a key; 0 where there is none that could be seconds."""
    found = inner(value, key)
    return finite_seconds(found) if isinstance(found, int | float) else 0.0
