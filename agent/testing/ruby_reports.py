"""Results per test of Ruby's runners: RSpec's JSON, and Minitest's and test-unit's text with `-v`.

Sources: what RSpec 3.12, Minitest 5.17 and test-unit 3.5 print.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from agent.testing.junit import cut, merge_results
from agent.testing.report import Outcome, TestResult, finite_seconds
from agent.testing.reports import MAX_JSON_BYTES

_RSPEC: dict[str, Outcome] = {"passed": "passed", "failed": "failed", "pending": "skipped"}
_MOST_FRAMES = 20
_LETTERS: dict[str, Outcome] = {
    ".": "passed",
    "F": "failed",
    "E": "error",
    "S": "skipped",
    "P": "skipped",
    "O": "skipped",
    "N": "passed",
}


def parse_rspec(data: bytes) -> tuple[tuple[TestResult, ...], bool]:
    """RSpec's JSON, and whether all files could be loaded. Names: `spec/a_spec.rb::full title`."""
    try:
        report = json.loads(data) if len(data) <= MAX_JSON_BYTES else None
    except (ValueError, RecursionError):
        report = None
    if not isinstance(report, dict):
        return (), True
    summary = report.get("summary")
    broken = summary.get("errors_outside_of_examples_count") if isinstance(summary, dict) else 0
    found = [*_examples(report.get("examples")), *_broken_files(report.get("messages"))]
    return merge_results(found), not broken


def _broken_files(messages: Any) -> Iterator[TestResult]:
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, str) and (found := _ERROR_OUTSIDE.search(message)):
            yield TestResult(name=found[1], outcome="error", message=cut(message.strip()))


def _examples(found: Any) -> Iterator[TestResult]:
    for example in found if isinstance(found, list) else []:
        if not isinstance(example, dict):
            continue
        path = str(example.get("file_path", "")).removeprefix("./")
        outcome = _RSPEC.get(str(example.get("status")))
        exception = example.get("exception")
        told = exception if isinstance(exception, dict) else {}
        lines = [f"{told['class']}: {told.get('message', '')}"] if "class" in told else []
        trace = told.get("backtrace")
        lines += (
            [line for line in trace if isinstance(line, str)] if isinstance(trace, list) else []
        )
        seconds = example.get("run_time")
        if outcome is not None:
            yield TestResult(
                name=f"{path}::{example.get('full_description', '')}",
                outcome=outcome,
                message=cut("\n".join(lines)),
                duration_s=finite_seconds(seconds) if isinstance(seconds, int | float) else 0.0,
            )


_ERROR_OUTSIDE = re.compile(r"^An error occurred while loading (?:\./)?(\S+?)\.$", re.M)
_MINITEST = re.compile(
    r"([^\s#][^#]{0,500}#test_(?:.{1,500}(?= = \d+\.\d+ s = [.FES]$)|.{1,500}?)) = (.*)"
)
_MINITEST_END = re.compile(r"(?:^|.*\D)(\d+\.\d+) s = ([.FES])")
_GROUP = re.compile(r"( *)(\S.*): ")
_TEST_UNIT = re.compile(r"( +)(\S[^\t]*):\t+(.*)")
_TEST_UNIT_END = re.compile(r"([.FEPON]?)([.]?): \((\d+\.\d+)\)")
_LONGEST_LINE = 2000
_DETAIL = re.compile(r" +\d+\) (?:Failure|Error|Skipped):")


def parse_minitest(output: str) -> tuple[TestResult, ...]:
    """Minitest's and test-unit's lines with `-v`. Names: `Class#test_name`.

    Either prints a test's name before it runs and the outcome after it, so that what the test
    prints stands between them.
    """
    details = _details(output)
    return merge_results(
        result.model_copy(update={"message": cut(details[result.name])})
        if result.name in details and result.outcome != "passed"
        else result
        for result in _lines(output)
    )


def _lines(output: str) -> Iterator[TestResult]:
    groups: list[tuple[int, str]] = []
    name, letter, inside = "", "", False
    told: list[str] = []
    for line in output.splitlines():
        line = line[:_LONGEST_LINE]
        rest = line
        if found := _TEST_UNIT.fullmatch(line):
            owner = next((g for depth, g in reversed(groups) if depth < len(found[1])), "")
            name, letter, told, inside = f"{owner}#{found[2]}", "", [], True
            rest = found[3]
        elif found := _MINITEST.fullmatch(line):
            name, inside, rest = found[1], False, found[2]
        elif not name and (found := _GROUP.fullmatch(line)):
            groups = [(depth, g) for depth, g in groups if depth < len(found[1])]
            groups.append((len(found[1]), found[2]))
            continue
        if name and inside and (ended := _TEST_UNIT_END.fullmatch(rest)):
            outcome = _LETTERS[letter or ended[1] or "."]
            message = "" if outcome == "passed" else cut("\n".join(told).strip("=\n"))
            seconds = finite_seconds(ended[3])
            yield TestResult(name=name, outcome=outcome, message=message, duration_s=seconds)
            name = ""
        elif name and not inside and (ended := _MINITEST_END.fullmatch(rest)):
            seconds = finite_seconds(ended[1])
            yield TestResult(name=name, outcome=_LETTERS[ended[2]], duration_s=seconds)
            name = ""
        elif name and inside:
            letter = letter or (rest if rest in _LETTERS else "")
            told.append(rest if rest != letter else "")


def _details(output: str) -> dict[str, str]:
    """Minitest's report at its end: what it says of each test that did not pass."""
    found: dict[str, str] = {}
    block: list[str] = []
    name = ""
    for line in [*output.splitlines(), "  0) Error:"]:
        line = line[:_LONGEST_LINE]
        if _DETAIL.fullmatch(line):
            if name:
                found[name] = "\n".join(block).strip()
            block, name = [line.strip()], "?"
        elif name == "?":
            name = re.sub(r"(?: \[[^\]]*\])?:$", "", line)
        elif name and (not line.strip() or line.startswith("rake aborted")):
            found[name] = "\n".join(block).strip()
            name = ""
        elif name:
            block.append(line)
    return found
