"""What runs prove, and where a reproduction lives on: pure functions."""

from __future__ import annotations

import ast

import pytest

from agent.gate.compare import (
    ReproductionRun,
    known_as_flaky,
    reproduction_check,
    suite_check,
    with_former_tests,
)
from agent.gate.regression_test import (
    NotPlaced,
    Placement,
    place,
    script_as_test,
    with_behaviour_names,
)
from agent.gate.sandbox_runs import says_expected_words
from agent.journal.events import ReproductionDeclared
from agent.task import Issue
from agent.testing.collection import PytestCollection
from agent.testing.report import Outcome, SuiteRun, TestResult


def suite(exit_code: int | None = 0, **outcomes: Outcome) -> SuiteRun:
    results = tuple(TestResult(name=n, outcome=o) for n, o in outcomes.items())
    return SuiteRun(command="pytest", exit_code=exit_code, output="", results=results)


@pytest.mark.parametrize(
    ("before", "after", "ok", "said"),
    [
        ([suite(a="passed")] * 2, [suite(a="passed")], True, "1 tests passed before, 1 of them"),
        ([suite(a="passed")] * 2, [suite(a="failed")], False, "no longer does: a"),
        ([suite(a="passed")] * 2, [suite(a="error")], False, "no longer does: a"),
        ([suite(a="passed")] * 2, [suite(a="skipped")], False, "no longer does: a"),
        ([suite(a="passed", b="passed")] * 2, [suite(b="passed")], False, "did not run"),
        ([suite(a="passed")] * 2, [suite()], False, "did not run"),
        ([suite(a="passed")] * 2, [suite(a="passed"), suite(a="failed")], False, "no longer"),
        ([suite(a="failed")] * 2, [suite(a="failed")], True, "of which it fixes 0"),
        ([suite(a="failed")] * 2, [suite(a="passed")], True, "of which it fixes 1"),
        ([suite(a="passed"), suite(a="failed")], [suite(a="failed")], True, "Flaky"),
        ([suite(a="passed"), suite()], [suite(b="passed")], True, "Flaky"),
        ([suite(a="passed")] * 2, [suite(a="passed", n="failed")], False, "New tests fail: n"),
        ([suite(a="passed")] * 2, [suite(a="passed", n="passed")], True, "New tests: 1"),
        ([suite(0)] * 2, [suite(0)], True, "no results per test"),
        ([suite(0)] * 2, [suite(1)], False, "fails with it"),
        ([suite(1)] * 2, [suite(1)], False, "cannot be told"),
        ([suite(1)] * 2, [suite(0)], True, "status 0"),
        ([suite(5)] * 2, [suite(5)], True, "finds no tests"),
    ],
)
def test_suites_before_and_after(
    before: list[SuiteRun], after: list[SuiteRun], ok: bool, said: str
) -> None:
    check = suite_check(before, after)
    assert (check.ok, said in check.detail) == (ok, True), check.detail


def test_tests_that_do_not_pass_on_both_sides_are_kept_by_name() -> None:
    before = [suite(a="passed", b="failed", c="passed", d="skipped", e="passed")] * 2
    after = [
        suite(a="passed", b="passed", c="failed", d="skipped", new="passed"),
        suite(new="passed"),
    ]
    seen = [(t.name, t.before, t.after) for t in suite_check(before, after).tests]
    assert seen == [
        ("b", "failed", "passed"),
        ("c", "passed", "failed"),
        ("e", "passed", ""),
        ("new", "", "passed"),
        ("d", "skipped", "skipped"),
    ]


def test_a_time_limit_proves_nothing() -> None:
    late = SuiteRun(command="pytest", exit_code=None, output="", timed_out=True)
    assert not suite_check([suite(a="passed")] * 2, [late]).ok
    assert not suite_check([late, late], [suite(0)]).ok


DECLARED = ReproductionDeclared(
    command="python3 /tmp/r.py", expected_failure="boom", observed="boom", accepted=True
)


@pytest.mark.parametrize(
    ("before", "after", "ok", "said"),
    [
        ((6, 6, 0), (6, 0, 6), True, "6 of 6 runs without the patch, passes in 6 of 6"),
        ((3, 0, 3), (3, 0, 3), False, "passes without the patch"),
        ((3, 0, 0), (3, 0, 3), False, "lacks 'boom'"),
        ((3, 3, 0), (3, 1, 2), False, "passes in 2 of 3"),
        ((20, 8, 12), (30, 0, 30), True, "it is flaky"),
        ((20, 8, 12), (20, 0, 20), False, "can be luck"),
        ((20, 2, 18), (60, 0, 60), False, "Make the reproduction fail more often"),
    ],
)
def test_reproduction_before_and_after(
    before: tuple[int, int, int], after: tuple[int, int, int], ok: bool, said: str
) -> None:
    def run(counts: tuple[int, int, int]) -> ReproductionRun:
        return ReproductionRun(runs=counts[0], as_claimed=counts[1], passed=counts[2], output="")

    check = reproduction_check(DECLARED, run(before), run(after))
    assert (check.ok, said in check.detail) == (ok, True), check.detail


@pytest.mark.parametrize(
    ("exit_code", "timed_out", "expected", "claimed"),
    [
        (1, False, "boom", True),
        (1, False, "in the message", True),
        (1, False, "bang", False),
        (3, False, "[exit 3]", True),
        (1, False, "[exit 3]", False),
        (None, True, "[killed after 120 s]", True),
        (1, False, "[killed after 120 s]", False),
    ],
)
def test_claims_are_found_in_output_messages_and_endings(
    exit_code: int | None, timed_out: bool, expected: str, claimed: bool
) -> None:
    result = TestResult(name="a", outcome="failed", message="in the message")
    run = SuiteRun(
        command="x", exit_code=exit_code, output="boom", results=(result,), timed_out=timed_out
    )
    assert says_expected_words(run, expected) is claimed


ISSUE = Issue(title="Crash: it's 100% wrong!", body="", number=3)
SCRIPT = '''#!/usr/bin/env python3
"""Shows it."""
from __future__ import annotations

import sys
sys.path.insert(0, "src")
from calc import double

def check(n):
    assert double(n) == 2 * n

# the case of the issue
text = """
  kept
"""
if __name__ == "__main__":
    check(3)
    print(text)
'''


def run_module(code: str, calls: list[int]) -> dict[str, object]:
    scope: dict[str, object] = {"__name__": "test_module"}
    code = code.replace("from calc import double", "double = DOUBLE")
    scope["DOUBLE"] = lambda n: calls.append(n) or 2 * n
    exec(compile(code, "t", "exec"), scope)
    return scope


def test_a_script_becomes_a_test_function_that_runs_the_same() -> None:
    code = script_as_test(SCRIPT, "slug", unittest=False)
    assert code is not None and "sys.path" not in code
    calls: list[int] = []
    scope = run_module(code, calls)
    assert calls == []  # nothing runs on import
    test = scope["test_slug"]
    assert callable(test)
    test()
    assert calls == [3]
    assert '"""\n  kept\n"""' in code


def test_a_script_becomes_a_test_case_where_the_project_uses_unittest() -> None:
    code = script_as_test(SCRIPT, "the_slug", unittest=True)
    assert code is not None
    tree = ast.parse(code)
    (case,) = [n for n in tree.body if isinstance(n, ast.ClassDef)]
    assert case.name == "TheSlugTest"
    assert ast.unparse(case.bases[0]) == "unittest.TestCase"
    assert code.index("from __future__") < code.index("import unittest")


@pytest.mark.parametrize("script", ["", "import a\n", "def f(): pass\n", "not python ("])
def test_a_script_that_runs_nothing_is_not_a_test(script: str) -> None:
    assert script_as_test(script, "slug", unittest=False) is None


@pytest.mark.parametrize(
    ("command", "files", "present", "expected"),
    [
        (
            "python3 /tmp/r.py",
            {"/tmp/r.py": "assert 1\n"},
            ["tests/test_a.py"],
            "tests/test_issue_3_crash_it_s_100_wrong.py",
        ),
        (
            "python3 r.py",
            {"r.py": "assert 1\n"},
            ["test_a.py"],
            "test_issue_3_crash_it_s_100_wrong.py",
        ),
        (
            "python3 -c 'assert 1'",
            {},
            ["pkg/tests/a_test.py"],
            "pkg/tests/issue_3_crash_it_s_100_wrong_test.py",
        ),
        ("python3 - <<'EOF'\nassert 1\nEOF", {}, [], "tests/test_issue_3_crash_it_s_100_wrong.py"),
        (
            "python3 /tmp/r.py",
            {"/tmp/r.py": "assert 1\n"},
            ["tests/test_issue_3_crash_it_s_100_wrong.py"],
            "tests/test_issue_3_crash_it_s_100_wrong_2.py",
        ),
    ],
)
def test_places_and_names_follow_the_project(
    command: str, files: dict[str, str], present: list[str], expected: str
) -> None:
    declared = DECLARED.model_copy(update={"command": command, "files": files})
    placed = place(declared, present, "python3 -m pytest", ISSUE)
    assert isinstance(placed, Placement)
    assert list(placed.files) == [expected] and placed.moved


def test_a_reproduction_that_is_a_test_stays_where_it_is() -> None:
    files = {"/workspace/tests/test_r.py": "def test_r():\n    assert 0\n"}
    declared = DECLARED.model_copy(update={"command": "pytest tests/test_r.py", "files": files})
    placed = place(declared, [], "python3 -m pytest", ISSUE)
    assert isinstance(placed, Placement)
    assert (list(placed.files), placed.moved) == (["tests/test_r.py"], False)


def test_a_test_is_placed_and_named_as_the_project_has_it_collected() -> None:
    own = PytestCollection(files=("check_*.py",), functions=("check",))
    declared = DECLARED.model_copy(
        update={"command": "python3 /tmp/r.py", "files": {"/tmp/r.py": "assert total([1]) == 1\n"}}
    )
    placed = place(declared, ["checks/check_a.py"], "python3 -m pytest", ISSUE, own)
    assert isinstance(placed, Placement)
    (path,) = placed.files
    assert path == "checks/check_issue_3_crash_it_s_100_wrong.py"
    assert "def check_total_of_1_is_1():" in placed.files[path]
    test = {"tests/check_b.py": "def check_bug():\n    assert total([1]) == 1\n"}
    declared = DECLARED.model_copy(update={"command": "pytest tests/check_b.py", "files": test})
    kept = place(declared, [], "python3 -m pytest", ISSUE, own)
    assert isinstance(kept, Placement) and not kept.moved
    named = with_behaviour_names(kept, [], ISSUE, "check")
    assert named is not None and "def check_total_of_1_is_1():" in named.files["tests/check_b.py"]
    assert isinstance(place(declared, [], "python3 -m pytest", ISSUE), NotPlaced)


def test_only_a_new_file_of_tests_gets_names_of_behaviour() -> None:
    kept = Placement(
        files={"tests/test_r.py": "def test_bug():\n    assert total([1]) == 1\n"},
        command="python3 -m pytest",
        selection="tests/test_r.py",
        moved=False,
    )
    named = with_behaviour_names(kept, [], ISSUE)
    assert named is not None and named.moved
    assert named.files["tests/test_r.py"].startswith("def test_total_of_1_is_1():")
    assert with_behaviour_names(kept, ["tests/test_r.py"], ISSUE) is None
    assert with_behaviour_names(named, [], ISSUE) is None


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("pytest tests/test_old.py::test_x", {}),
        ("node r.js", {"/tmp/r.js": "process.exit(1)\n"}),
        ("python3 /tmp/a.py", {"/tmp/a.py": "assert 0\n", "/tmp/data.txt": "x"}),
        ("make check", {}),
    ],
)
def test_a_regression_test_that_cannot_be_placed_has_a_reason(
    command: str, files: dict[str, str]
) -> None:
    declared = DECLARED.model_copy(update={"command": command, "files": files})
    placed = place(declared, ["tests/test_a.py"], "python3 -m pytest", ISSUE)
    assert isinstance(placed, NotPlaced) and placed.why


def test_what_is_known_to_be_flaky_is_not_counted() -> None:
    before = known_as_flaky([suite(a="passed", b="passed")] * 2, {"a", "gone"})
    shown = suite_check(before, [suite(a="failed", b="passed")])
    assert shown.ok and "Flaky and not counted: a." in shown.detail
    assert not suite_check(before, [suite(a="passed", b="failed")]).ok


def test_a_test_that_is_taken_out_counts_as_the_bases_version_of_it_ends() -> None:
    before, after = [suite(a="passed", b="passed")] * 2, suite(b="passed")
    for outcome, ok in (("passed", True), ("failed", False)):
        old = [suite(a=outcome, b="passed")]
        shown = suite_check(before, [with_former_tests(after, old)], old)
        assert shown.ok is ok, shown.detail
    assert with_former_tests(suite(a="failed"), [suite(a="passed")]) == suite(a="failed")
