"""JUnit XML, as hostile code may have written it, to results per test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from agent.testing.report import Outcome, TestResult, finite_seconds

MAX_BYTES = 128 * 1024**2
"""Larger reports are not read."""

MOST_DEPTH = 100
MOST_ELEMENTS = 1_000_000
MOST_NAMES = 100
"""Attributes of one element. Beyond these a report fills memory with what is none."""

MESSAGE_CHARS = 4000

_WORSE: dict[Outcome, int] = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}


def parse_junit(
    data: bytes, read: Callable[[Element], TestResult] | None = None, tag: str = "testcase"
) -> tuple[TestResult, ...]:
    """Results of a report; nothing if it is broken, too large or tries entity tricks.

    `read`: how a runner's own `tag` is read; by default as JUnit's `testcase`.

    Names are what pytest takes back (`path/test_x.py::Class::test[param]`) where the report names
    the file, as pytest's `xunit1` family does; else `class.name`.
    """
    if len(data) > MAX_BYTES:
        return ()
    try:
        try:
            return merge_results(_cases(data, tag, read or _result))
        except ParseError:
            return merge_results(_cases(_NO_XML.sub(b"?", data), tag, read or _result))
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return ()


_NO_XML = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]"
    # Halves of characters, U+FFFE and U+FFFF as bytes of UTF-8.
    rb"|\xed[\xa0-\xbf][\x80-\xbf]|\xef\xbf[\xbe\xbf]"
    rb"|&#(?:x0*(?:[0-8bcBC]|[eE]|1[0-9a-fA-F]|[dD][89a-fA-F][0-9a-fA-F]{2}|[fF]{3}[eEfF])"
    rb"|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]|55(?:29[6-9]|[3-9][0-9]{2})|56[0-9]{3}|57[0-2][0-9]{2}"
    rb"|573[0-3][0-9]|5734[0-3]|6553[45]));"
)
"""What XML cannot hold and runners write nonetheless, as bytes or as character references."""


def _cases(data: bytes, tag: str, read: Callable[[Element], TestResult]) -> Iterator[TestResult]:
    """The results one by one; what was read is let go of, so that size costs no memory."""
    above: list[Element] = []
    case_at = count = 0
    for event, element in ElementTree.iterparse(
        _Pieces(data), events=("start", "end"), forbid_dtd=True
    ):
        is_case = element.tag.rpartition("}")[2] == tag
        if event == "start":
            above.append(element)
            count += 1
            case_at = case_at or (len(above) if is_case else 0)
            if len(above) > MOST_DEPTH or count > MOST_ELEMENTS or len(element.attrib) > MOST_NAMES:
                raise ValueError("no report of a runner is like that")
            continue
        if is_case:
            yield read(element)
        if len(above) == case_at:
            case_at = 0
        above.pop()
        if above and not case_at:
            above[-1].clear()


class _Pieces:
    """A report as a file that is read in pieces of growing size, whatever size is asked for.

    Older expats begin a long tag anew with each piece (CVE-2023-52425).
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._size = 64 * 1024

    def read(self, _size: int = 0) -> bytes:
        piece = self._data[self._at : self._at + self._size]
        self._at += self._size
        self._size = min(2 * self._size, _LARGEST_PIECE)
        return piece


_LARGEST_PIECE = 4 * 1024**2


def parse_surefire(data: bytes) -> tuple[TestResult, ...]:
    """As `parse_junit`, with names as Maven takes them back: `package.Class#method`."""
    return tuple(
        result.model_copy(update={"name": "#".join(result.name.rsplit(".", 1))})
        for result in parse_junit(data)
    )


def merge_results(results: Iterable[TestResult]) -> tuple[TestResult, ...]:
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
    return result_of_case(case, _name(case))


def result_of_case(case: Element, name: str) -> TestResult:
    """A `testcase` of JUnit's as a result with this name."""
    outcome: Outcome = "passed"
    message = ""
    for child in case:
        tag = child.tag.rpartition("}")[2]
        reported: Outcome | None = {
            "failure": "failed",
            "error": "error",
            "skipped": "skipped",
        }.get(tag)  # type: ignore[assignment]
        if reported is not None and _WORSE[reported] > _WORSE[outcome]:
            outcome = reported
            message = child.text or child.get("message") or ""
    return TestResult(
        name=name, outcome=outcome, message=cut(message.strip()), duration_s=_seconds(case)
    )


def _name(case: Element) -> str:
    name, group, file = case.get("name", ""), case.get("classname", ""), case.get("file", "")
    if re.search(r"\.[cm]?[jt]sx?$", file):
        return f"{file}::{name}"
    if not file.endswith(".py"):
        return f"{group}.{name}" if group else name
    module = file.removesuffix(".py").replace("/", ".")
    if not group:
        return file  # the module itself could not be collected
    classes = group.removeprefix(module).lstrip(".")
    return "::".join([file, *(classes.split(".") if classes else []), name])


def _seconds(case: Element) -> float:
    return finite_seconds(case.get("time", "0").replace(",", ""))
