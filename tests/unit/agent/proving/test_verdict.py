"""What the gate's checks mean for a change that a person made."""

from __future__ import annotations

from agent.journal.events import Check, GateJudged, SeenTest, Verdict
from agent.proving.verdict import missing_in, suspected, verdict_of


def judged(verdict: Verdict, *checks: Check) -> GateJudged:
    return GateJudged(attempt=1, verdict=verdict, checks=checks)


def suite(*tests: SeenTest) -> Check:
    return Check(name="test suite", ok=False, detail="Tests no longer pass.", tests=tests)


def test_a_test_that_is_gone_counts_where_the_change_does_not_edit_its_file() -> None:
    seen = [
        SeenTest(name="tests/test_a.py::test_one", before="passed", after=""),
        SeenTest(name="tests/test_b.py::test_two", before="passed", after=""),
        SeenTest(name="tests/test_a.py::test_three", before="passed", after="failed"),
        SeenTest(name="tests/test_b.py::test_four", before="failed", after="failed"),
        SeenTest(name="tests/test_b.py::test_five", before="", after="failed"),
    ]
    found = suspected(judged("unproven", suite(*seen)), {"tests/test_a.py"})
    assert found == ("tests/test_b.py::test_two", "tests/test_a.py::test_three")


def test_what_is_missing_is_said_once() -> None:
    no = Check(name="reproduction", ok=False, detail="No reproduction was declared.")
    told = judged("unproven", Check(name="patch", ok=True), no, suite())
    assert missing_in(told, ["No test."]) == ("No test.", "Tests no longer pass.")
    assert missing_in(told, []) == ("No reproduction was declared.", "Tests no longer pass.")
    assert missing_in(judged("proven", suite()), []) == ()


def test_only_what_shows_a_bug_is_proven_and_what_broke_comes_first() -> None:
    assert verdict_of(judged("proven"), shows_a_bug=True, broken=()) == "proven"
    assert verdict_of(judged("contested"), shows_a_bug=True, broken=()) == "proven"
    assert verdict_of(judged("proven"), shows_a_bug=False, broken=()) == "unproven"
    assert verdict_of(judged("refused"), shows_a_bug=True, broken=()) == "unproven"
    assert verdict_of(judged("unproven"), shows_a_bug=False, broken=("a",)) == "failed"
