"""Where a log first mentions a failure, and its lines without what CI services put into them.

Signs are those of Python, pytest, unittest, Go, Rust, Java, JavaScript, TAP, compilers, make,
git and GitHub Actions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST_LINE = 4000
"""Characters of a line that are looked at."""

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z ")
"""GitHub Actions begins every line so:
https://docs.github.com/en/rest/actions/workflow-jobs#download-job-logs-for-a-workflow-run"""

_SIGN = re.compile(
    r"Traceback \(most recent call last\)"
    r"|^E   |^(?:FAILED|ERROR|FAIL)\b[: ]|\b(?:FAILED|FAILURE)\b|\bBUILD FAILURE\b"
    r"|^panic: |^--- FAIL:|^\s+--- FAIL:"
    r"|^error(?:\[E\d+\])?: |thread '[^']{0,200}' (?:\(\d+\) )?panicked"
    r"|\b[A-Z]\w*(?:Error|Exception)\b|^Caused by: "
    r"|^\s+at \S.{0,300}[(:]\d+\)?$|^\s+● |^not ok \d|\bERR!"
    r"|:\d+:(?:\d+:)? (?:fatal )?error: |: error [A-Z]{2,4}\d{3,5}: |^fatal: "
    r"|^make(?:\[\d+\])?: \*\*\* "
    r"|^\[ERROR\] |^##\[error\]|Segmentation fault|core dumped|^Killed$|command not found"
)
_NO_SIGN = re.compile(r"\b0 (?:errors?|failures?)\b|\bno errors?\b", re.IGNORECASE)


def bare(line: str) -> str:
    """A line without colours and without the time that a CI service put before it."""
    line = line[:LONGEST_LINE].rstrip("\r")
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    return _STAMP.sub("", line, count=1)


def first_error(lines: Sequence[str]) -> int | None:
    """Position of the first line that mentions a failure, or None."""
    for position, line in enumerate(lines):
        plain = bare(line)
        if _SIGN.search(plain) and not _NO_SIGN.search(plain):
            return position
    return None
