"""Whether two issues report the same failure, with what shows it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from agent.model import Record
from agent.text.fingerprints import fingerprint
from agent.text.tracebacks import frames, in_tree
from app.github.records import ListedIssue

_ERROR = re.compile(r"^(?:E\s+)?((?:\w+\.){0,8}\w{0,60}(?:Error|Exception))\b", re.MULTILINE)


class FailurePlace(Record):
    """Where in a commit's tree an exception was raised."""

    commit: str
    path: str
    line: int
    error: str

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.error} in {self.path} line {self.line}"


def failure_place(
    commit: str, observed: str, own_files: Collection[str], files: Collection[str]
) -> FailurePlace | None:
    """Where what a reproduction printed says that the program itself raised; None: nowhere.

    Not in the reproduction's own files: an assertion there says nothing of a place.
    """
    placed = [f for f in in_tree(frames(observed), files) if f.path not in own_files]
    errors = _ERROR.findall(observed)
    if not placed or not errors or errors[-1].rsplit(".", 1)[-1] == "AssertionError":
        return None
    return FailurePlace(commit=commit, path=placed[-1].path, line=placed[-1].line, error=errors[-1])


def older_with_same_trace(
    number: int, text: str, issues: Iterable[ListedIssue]
) -> tuple[int, str] | None:
    """The oldest open issue before this one that shows the same stack trace or failing test.

    A trace counts if it names the functions: the same file and error alone are not the same.
    """
    own = fingerprint(text)
    traces = {trace for trace in own.traces if _names_functions(trace)}
    for other in sorted(issues, key=lambda each: each.number):
        if other.is_pull or other.number >= number:
            continue
        found = fingerprint(f"{other.title}\n{other.body}")
        if tests := [test for test in own.tests if test in found.tests]:
            return other.number, f"both name the failing test {tests[0]}"
        if traces & set(found.traces):
            return other.number, "both show the same stack trace"
    return None


def _names_functions(trace: str) -> bool:
    return not any(part.endswith(":") for part in trace.split(" "))
