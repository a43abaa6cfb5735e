"""Results per test from XML reports that are JUnit's in part or not at all: CTest, Meson, PHPUnit,
.NET.

Sources: what CTest 3.25, Meson 1.0 and PHPUnit 9.6 write; Microsoft's schema of TRX
(`vstst.xsd`, with the documentation of `dotnet test --logger trx`) for .NET, which has not been
tried here.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from agent.testing.junit import cut, parse_junit, result_of_case
from agent.testing.report import Outcome, TestResult

_TRX: dict[str, Outcome] = {
    "Passed": "passed",
    "PassedButRunAborted": "passed",
    "Failed": "failed",
    "NotExecuted": "skipped",
    "NotRunnable": "skipped",
    "Inconclusive": "skipped",
    "Pending": "skipped",
}


def parse_ctest(data: bytes) -> tuple[TestResult, ...]:
    """CTest's `--output-junit`. Names: the test's own."""
    return parse_junit(data, _ctest_case)


def _ctest_case(case: Element) -> TestResult:
    result = result_of_case(case, case.get("name", ""))
    printed = case.findtext("system-out") or ""
    outcome = result.outcome
    if case.get("status") == "disabled":
        outcome = "skipped"
    elif printed.startswith("Unable to find executable"):
        # It was not built: to CTest that is "not run", yet the suite as a whole fails.
        outcome = "error"
    if outcome == "passed":
        return result
    return result.model_copy(update={"outcome": outcome, "message": cut(printed.strip())})


def parse_meson(data: bytes) -> tuple[TestResult, ...]:
    """Meson's `testlog.junit.xml`. Names: its own, `project:suite / test`."""
    return parse_junit(data, lambda case: result_of_case(case, case.get("name", "")))


def parse_phpunit(data: bytes) -> tuple[TestResult, ...]:
    """PHPUnit's `--log-junit`. Names: `Namespace\\Class::method with data set #0`."""
    return parse_junit(data, _phpunit_case)


def _phpunit_case(case: Element) -> TestResult:
    group = case.get("class") or case.get("classname", "").replace(".", "\\")
    name = case.get("name", "")
    return result_of_case(case, f"{group}::{name}" if group else name)


def parse_trx(data: bytes) -> tuple[TestResult, ...]:
    """The results of `dotnet test --logger trx`. Names: the test's full one."""
    return parse_junit(data, _trx_result, "UnitTestResult")


def _trx_result(element: Element) -> TestResult:
    told = [
        (inner.text or "").strip()
        for inner in element.iter()
        if inner.tag.rpartition("}")[2] in ("Message", "StackTrace")
    ]
    outcome = _TRX.get(element.get("outcome", ""), "error")
    return TestResult(
        name=element.get("testName", ""),
        outcome=outcome,
        message="" if outcome == "passed" else cut("\n".join(told)),
        duration_s=_seconds(element.get("duration", "")),
    )


def _seconds(duration: str) -> float:
    """`00:00:01.5000000` in seconds."""
    found = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)", duration)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else 0.0
