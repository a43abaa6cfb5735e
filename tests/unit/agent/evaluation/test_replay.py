"""What of a merged fix is replayed in each mode, and what the report says of it."""

from __future__ import annotations

import pytest

from agent.evaluation.instances import Instance
from agent.evaluation.replay import (
    NotReplayable,
    failing_command,
    replay_of,
    replay_report,
    without_last_change,
    without_other_tests,
)
from agent.evaluation.results import AttemptResult, HiddenVerdict, InstanceResult

TESTS = "def test_old():\n    assert f(1) == 1\n"
FIXED = (
    TESTS + "\n\ndef test_two():\n    assert f(2) == 2\n\n\ndef test_three():\n    assert True\n"
)
TEST_PATCH = (
    "diff --git a/tests/test_a.py b/tests/test_a.py\n--- a/tests/test_a.py\n"
    "+++ b/tests/test_a.py\n@@ -1,2 +1,10 @@\n def test_old():\n     assert f(1) == 1\n"
    "+\n+\n+def test_two():\n+    assert f(2) == 2\n+\n+\n+def test_three():\n+    assert True\n"
)
ONE = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
TWO = ONE + "@@ -20 +20 @@\n-y = 1\n+y = 2\n"


def instance(patch: str = TWO) -> Instance:
    return Instance(
        instance_id="a-1",
        repo="/a",
        base_commit="a" * 40,
        problem_statement="f is wrong",
        test_patch=TEST_PATCH,
        FAIL_TO_PASS=("tests/test_a.py::test_two", "tests/test_a.py::test_three"),
        patch=patch,
        test_command="python -m pytest -q tests",
    )


BASE = {"tests/test_a.py": TESTS}


def test_whole_has_all_tests_and_the_whole_fix() -> None:
    replay = replay_of(instance(), BASE, "whole")
    assert replay.files == {"tests/test_a.py": FIXED}
    assert replay.source_patch == TWO
    assert replay.command == (
        "python -m pytest -q tests/test_a.py::test_two tests/test_a.py::test_three"
    )


def test_narrow_shows_the_bug_by_one_test_alone() -> None:
    replay = replay_of(instance(), BASE, "narrow")
    assert "test_three" not in replay.files["tests/test_a.py"]
    assert "test_old" in replay.files["tests/test_a.py"]
    assert replay.command.endswith(" tests/test_a.py::test_two")
    assert replay.source_patch == TWO


def test_partial_leaves_the_last_change_out() -> None:
    assert replay_of(instance(), BASE, "partial").source_patch == ONE
    with pytest.raises(NotReplayable, match="only one hunk"):
        without_last_change(ONE)


def test_tests_that_do_not_apply_are_no_replay() -> None:
    with pytest.raises(NotReplayable, match="cannot be applied"):
        replay_of(instance(), {"tests/test_a.py": "something else\n"}, "whole")


def test_what_cannot_be_parsed_stays_whole() -> None:
    assert without_other_tests("", "it('works', () => {})", "a.test.js::works").startswith("it(")


def test_a_class_that_would_lose_all_stays() -> None:
    fixed = "class TestA:\n    def test_b(self):\n        pass\n"
    assert without_other_tests("", fixed, "t.py::test_c") == fixed


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("npx jest", "npx jest a.test.js -t 'adds\\ two'"),
        ("npx mocha", "npx mocha -g 'adds\\ two'"),
        ("go test ./...", "go test ./..."),
    ],
)
def test_the_failing_test_alone_by_runner(command: str, expected: str) -> None:
    assert failing_command(command, ["a.test.js::adds two"], ["a.test.js"]) == expected


def result(verdict: str, patch: str, *, right: bool) -> dict[str, InstanceResult]:
    attempt = AttemptResult(
        number=1,
        outcome="proven" if verdict == "proven" else "draft",
        patch=patch,
        hidden=HiddenVerdict(resolved=right),
        calls=1,
        turns=1,
        verdict=verdict,
    )
    return {"a-1": InstanceResult(instance_id="a-1", attempts=(attempt,))}


def test_a_right_fix_that_was_made_wrong_is_named() -> None:
    report = replay_report("narrow", [instance()], result("proven", ONE, right=False))
    assert report.made_wrong == ("a-1",)
    assert report.accepted.count == 1
    kept = replay_report("narrow", [instance()], result("proven", TWO, right=True))
    assert kept.made_wrong == ()
    assert kept.rows[0].same_source


def test_a_partial_fix_that_is_called_proven_counts_against_the_gate() -> None:
    report = replay_report("partial", [instance()], result("proven", ONE, right=False))
    assert (report.wrong_proven.count, report.wrong_proven.of) == (1, 1)
    assert report.made_wrong == ()  # it was wrong before it came to the gate


def test_an_instance_that_could_not_be_tried_is_an_error_and_not_counted() -> None:
    report = replay_report("whole", [instance()], {})
    assert report.rows[0].verdict == "error"
    assert report.accepted.of == 0


def test_a_fix_whose_tests_no_command_runs_is_not_replayed() -> None:
    bare = instance().model_copy(update={"test_command": ""})
    with pytest.raises(NotReplayable, match="no command"):
        replay_of(bare, BASE, "whole")
