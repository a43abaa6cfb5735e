"""Results per test from XML reports that are JUnit's in part or not at all: CTest, Meson, PHPUnit,
Pest, .NET, nose2, nextest, sbt, GoogleTest, Catch2, Swift.

Sources: what CTest 3.25, Meson 1.0, PHPUnit 9.6, nose2 0.16, cargo-nextest 0.9, GoogleTest 1.12 and
Catch2 2.13 write. Not tried here: .NET, after Microsoft's schema of TRX (`vstst.xsd`, with the
documentation of `dotnet test --logger trx`); sbt, after its `JUnitXmlTestsListener`; Swift, after
the `XUnitGenerator` of its package manager; Pest, after its `JUnitLogger` (all in their
repositories: github.com/sbt/sbt, github.com/swiftlang/swift-package-manager,
github.com/pestphp/pest).
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


def parse_nose2(data: bytes) -> tuple[TestResult, ...]:
    """nose2's `--junit-xml`. Names: `package.module.Class.test`, as it takes them back."""
    return parse_junit(data, _nose2_case)


_NOT_IMPORTED = "nose2.loader.ModuleImportFailure."


def _nose2_case(case: Element) -> TestResult:
    # A part of a test (`subTest`) is called after it, its parameters in brackets.
    test = case.get("name", "").partition(" (")[0]
    name = f"{case.get('classname', '')}.{test}"
    return result_of_case(case, name.removeprefix(_NOT_IMPORTED))


def parse_nextest(data: bytes) -> tuple[TestResult, ...]:
    """cargo-nextest's JUnit XML. Names: `crate::binary path::of::test`, as it prints them."""
    return parse_junit(
        data,
        lambda case: result_of_case(case, f"{case.get('classname', '')} {case.get('name', '')}"),
    )


def parse_sbt(data: bytes) -> tuple[TestResult, ...]:
    """sbt's `test-reports`. Names: `package.Class#title of the test`."""
    return parse_junit(
        data,
        lambda case: result_of_case(case, f"{case.get('classname', '')}#{case.get('name', '')}"),
    )


def parse_swift(data: bytes) -> tuple[TestResult, ...]:
    """Swift's `--xunit-output`. Names: `Module.Class/test`, as its `--filter` takes them."""
    return parse_junit(
        data,
        lambda case: result_of_case(case, f"{case.get('classname', '')}/{case.get('name', '')}"),
    )


def parse_googletest(data: bytes, program: str) -> tuple[TestResult, ...]:
    """GoogleTest's XML. Names: `program::Suite.Case`. Of a mere list of its cases, none."""

    def read(case: Element) -> TestResult:
        name = f"{program}::{case.get('classname', '')}.{case.get('name', '')}"
        result = result_of_case(case, name)
        match case.get("status"):
            case "run":
                return result
            case None:
                return result.model_copy(update={"name": ""})
            case _:
                return result.model_copy(update={"outcome": "skipped"})

    return tuple(result for result in parse_junit(data, read) if result.name)


def parse_catch2(data: bytes) -> tuple[TestResult, ...]:
    """Catch2's JUnit XML. Names: `test case`, `test case/section`."""
    return parse_junit(data, _catch2_case)


def _catch2_case(case: Element) -> TestResult:
    result = result_of_case(case, case.get("name", ""))
    # `[!mayfail]` and `[!shouldfail]`: it may fail without harm, and says nothing then.
    may_fail = any(child.tag == "skipped" for child in case)
    return result.model_copy(update={"outcome": "skipped"}) if may_fail else result


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
