"""What a hunk is there for, and which test files reach a change. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.gate.hunks import SUITE, first_missed_test, reason_for
from agent.gate.patch.parse import Hunk
from agent.gate.reachable_tests import reachable_files, read_imports
from agent.journal.events import HunkReason
from agent.testing.report import Outcome, SuiteRun, TestResult


def run(exit_code: int = 0, outcomes: Mapping[str, Outcome] | None = None) -> SuiteRun:
    results = tuple(TestResult(name=n, outcome=o) for n, o in (outcomes or {}).items())
    return SuiteRun(command="pytest", exit_code=exit_code, output="", results=results)


@pytest.mark.parametrize(
    ("before", "trial", "named"),
    [
        ([{"a": "passed"}] * 2, {"a": "failed"}, "a"),
        ([{}, {}], {"a": "failed"}, "a"),
        ([{"a": "passed"}] * 2, {"a": "passed"}, ""),
        ([{"a": "passed"}, {"a": "failed"}], {"a": "failed"}, ""),
        ([{"a": "passed"}] * 2, {"b": "failed"}, ""),
    ],
)
def test_a_hunk_is_needed_by_a_test_that_fails_without_it(
    before: list[dict[str, Outcome]], trial: dict[str, Outcome], named: str
) -> None:
    whole = [run(outcomes={"a": "passed"})] * 2
    assert first_missed_test([run(outcomes=b) for b in before], whole, run(1, trial)) == named


def test_without_results_per_test_the_exit_status_decides() -> None:
    assert first_missed_test([run()], [run()], run(1)) == SUITE
    assert first_missed_test([run()], [run()], run()) == ""
    assert first_missed_test([run(1)], [run(1)], run(1)) == ""


def test_a_reason_belongs_to_the_hunk_that_it_names() -> None:
    hunk = Hunk(first=0, last=4, added=((7, "x"), (8, "y")), removed=())
    given = [HunkReason(hunk="src/a.py:8", reason="the same bug")]
    assert reason_for("src/a.py", hunk, given) == "the same bug"
    assert reason_for("src/b.py", hunk, given) == ""
    assert reason_for("src/a.py", hunk, [HunkReason(hunk="src/a.py:99", reason="x")]) == ""


def test_imports_are_followed_from_the_tests() -> None:
    imports = read_imports(
        [
            "./pkg/__init__.py:",
            "./pkg/deep.py:",
            "./pkg/other.py:",
            "./pkg/top.py:from .deep import f",
            "./pkg/top.py:",
            "./tests/conftest.py:import pkg.other",
            "./tests/test_a.py:    from pkg import top  # late",
            "./tests/test_b.py:import os, json",
        ]
    )
    assert "pkg/deep.py" in reachable_files("tests/test_a.py", imports)
    assert "pkg/deep.py" not in reachable_files("tests/test_b.py", imports)
    assert "pkg/other.py" in reachable_files("tests/test_b.py", imports)
