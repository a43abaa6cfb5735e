"""What tells two reports of the same failure: the tests that they name, and their stack traces.

Line numbers count for nothing, for they move; neither do folders far above a file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.text.tracebacks import Frame, frames

_TESTS = re.compile(
    r"(?<![\w/.-])[\w./-]{1,200}\.py::[\w.\[\]:-]{1,200}|(?<=--- FAIL: )[\w/]{1,200}"
)
_ERROR = re.compile(r"^(?:E\s+)?((?:\w+\.){0,8}\w{0,60}(?:Error|Exception))\b", re.MULTILINE)
_TRACE = "Traceback (most recent call last)"
_DEPTH = 3
_MOST = 20
_LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A failure, as a text tells of it."""

    tests: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()

    def shared_with(self, other: Fingerprint) -> str:
        """What both have, in words; empty if they have nothing in common."""
        if tests := [test for test in self.tests if test in other.tests]:
            return f"the failing test {tests[0]}"
        return "the same stack trace" if set(self.traces) & set(other.traces) else ""

    def joined(self, other: Fingerprint) -> Fingerprint:
        """What either has."""
        tests = tuple(dict.fromkeys((*self.tests, *other.tests)))
        traces = tuple(dict.fromkeys((*self.traces, *other.traces)))
        return Fingerprint(tests=tests, traces=traces)


def fingerprint(text: str) -> Fingerprint:
    """The fingerprint of the failures in a text."""
    parts = text[:_LONGEST].split(_TRACE)
    traces = [trace for part in parts if (trace := _trace(frames(part), part))]
    tests = dict.fromkeys(found.rstrip(":.") for found in _TESTS.findall(text[:_LONGEST]))
    return Fingerprint(
        tests=tuple(tests)[:_MOST],
        traces=tuple(dict.fromkeys(traces))[:_MOST],
    )


def _trace(found: Sequence[Frame], text: str) -> str:
    """The innermost frames with the error's name; empty where they say too little."""
    if not found:
        return ""
    # Python names the innermost frame last, the others first.
    inner = found[-_DEPTH:] if found[0].language == "python" else found[:_DEPTH]
    names = [f"{'/'.join(frame.path.split('/')[-2:])}:{frame.function}" for frame in inner]
    errors = _ERROR.findall(text)
    if len(set(names)) < 2 and not errors:
        return ""
    return " ".join([*names, *errors[-1:]])[:500]
