"""JUnit XML, as hostile code may have written it, to results per test."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from agent.testing.report import Outcome, TestResult

MAX_BYTES = 16 * 1024**2
"""Larger reports are not read."""

MESSAGE_CHARS = 4000

_WORSE: dict[Outcome, int] = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}


def parse_junit(data: bytes) -> tuple[TestResult, ...]:
    """Results of a report; nothing if it is broken, too large or tries entity tricks.

    Names are what pytest takes back (`path/test_x.py::Class::test[param]`) where the report names
    the file, as pytest's `xunit1` family does; else `class.name`.
    """
    if len(data) > MAX_BYTES:
        return ()
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return ()
    return merged(_result(case) for case in root.iter("testcase"))


def parse_surefire(data: bytes) -> tuple[TestResult, ...]:
    """As `parse_junit`, with names as Maven takes them back: `package.Class#method`."""
    return tuple(
        result.model_copy(update={"name": "#".join(result.name.rsplit(".", 1))})
        for result in parse_junit(data)
    )


def merged(results: Iterable[TestResult]) -> tuple[TestResult, ...]:
    """One result a name, the worst: a test can pass and then err in its teardown."""
    kept: dict[str, TestResult] = {}
    for result in results:
        known = kept.get(result.name)
        if known is None or _WORSE[result.outcome] > _WORSE[known.outcome]:
            kept[result.name] = result
    return tuple(kept.values())


def cut(text: str, limit: int = MESSAGE_CHARS) -> str:
    """The text, or its head and tail with a line between that says how much is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


def _result(case: Element) -> TestResult:
    outcome: Outcome = "passed"
    message = ""
    for child in case:
        tag = child.tag.rpartition("}")[2]
        said: Outcome | None = {"failure": "failed", "error": "error", "skipped": "skipped"}.get(
            tag
        )  # type: ignore[assignment]
        if said is not None and _WORSE[said] > _WORSE[outcome]:
            outcome = said
            message = child.text or child.get("message") or ""
    return TestResult(
        name=_name(case), outcome=outcome, message=cut(message.strip()), duration_s=_seconds(case)
    )


def _name(case: Element) -> str:
    name, group, file = case.get("name", ""), case.get("classname", ""), case.get("file", "")
    if not file.endswith(".py"):
        return f"{group}.{name}" if group else name
    module = file.removesuffix(".py").replace("/", ".")
    if not group:
        return file  # the module itself could not be collected
    classes = group.removeprefix(module).lstrip(".")
    return "::".join([file, *(classes.split(".") if classes else []), name])


def _seconds(case: Element) -> float:
    try:
        return max(0.0, float(case.get("time", "0").replace(",", "")))
    except ValueError:
        return 0.0
