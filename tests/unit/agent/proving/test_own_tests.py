"""What several runs on both sides say of a test."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.gate.patch.changed_file import changed_texts
from agent.gate.rules.all import Base, refusals
from agent.proving.own_tests import (
    SeenRuns,
    edited_functions,
    is_edited,
    shown_tests,
    telling_words,
    why_nothing_is_shown,
)
from agent.proving.records import ShownTest
from agent.proving.verdict import RULES
from agent.task import GatePolicy, Issue
from agent.testing.report import Outcome, SuiteRun, TestResult

NAME = "tests/test_a.py::test_b"


def run(outcome: str, message: str = "") -> SuiteRun:
    kinds: dict[str, Outcome] = {"f": "failed", "e": "error", "p": "passed", "s": "skipped"}
    results = (
        () if outcome == "-" else (TestResult(name=NAME, outcome=kinds[outcome], message=message),)
    )
    return SuiteRun(command="pytest", exit_code=0, output="", results=results)


def seen(before: Sequence[SuiteRun], after: Sequence[SuiteRun], own: str = "-") -> SeenRuns:
    return SeenRuns(
        own_before=run(own), before=tuple(before), after=tuple(after), old_after=run("-")
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("fff", "ppp", "shows the bug"),
        ("fef", "ppp", "shows the bug"),
        ("fpf", "ppp", "is flaky"),
        ("fff", "pfp", "is flaky"),
        ("fff", "fef", "fails with the change"),
        ("ppp", "ppp", "passes without the change"),
        ("---", "ppp", "is not loaded without the change"),
        ("-f-", "ppp", "is flaky"),
        ("sss", "ppp", "is skipped"),
        ("fff", "sss", "is skipped"),
    ],
)
def test_all_runs_must_say_the_same(before: str, after: str, said: str) -> None:
    (found,) = shown_tests(seen([*map(run, before)], [*map(run, after)]), ())
    assert found.said == said


@pytest.mark.parametrize(
    ("own", "edited", "before", "counts"),
    [
        ("p", (), "p", False),
        ("p", (NAME,), "p", True),
        ("-", (), "p", True),
        ("f", (), "f", True),
    ],
)
def test_a_test_that_was_there_counts_where_it_is_edited_or_made_to_pass(
    own: str, edited: tuple[str, ...], before: str, counts: bool
) -> None:
    runs = seen([run(before)] * 3, [run("p")] * 3, own)
    assert bool(shown_tests(runs, edited)) is counts


def test_the_words_of_a_failure_must_be_in_each_run() -> None:
    said = ["E   assert 3 == 4\nE   at 0x1", "E   assert 3 == 4\nE   at 0x2"]
    runs = seen([run("f", text) for text in said], [run("p")])
    assert telling_words(runs, {NAME}) == "assert 3 == 4"
    others = seen([run("f", "E   at 0x1"), run("f", "E   at 0x2")], [run("p")])
    assert telling_words(others, {NAME}) == ""


def test_each_reason_names_its_tests() -> None:
    told = [ShownTest(name="a", said="is flaky"), ShownTest(name="b", said="is skipped")]
    assert [text.rpartition(": ")[2] for text in why_nothing_is_shown(told, {"t.py": ""})] == [
        "b.",
        "a.",
    ]
    assert "no test of the change was found in t.py" in why_nothing_is_shown([], {"t.py": ""})[0]


def test_every_rule_of_the_gate_is_a_finding_here() -> None:
    base = Base(files=(), installed=())
    known = refusals([], base, None, Issue(title="", body=""), GatePolicy())
    assert known.keys() <= RULES


def test_edited_tests_are_the_changes_own() -> None:
    python = changed_texts(
        "tests/test_a.py",
        "def test_b():\n    assert f() == 1\n\n\ndef test_c():\n    pass\n",
        "def test_b():\n    assert f() == 1\n    assert g() == 2\n\n\ndef test_c():\n    pass\n",
    )
    assert edited_functions([python]) == {NAME}
    former = (
        "describe('a', () => {\n  it('adds', () => {\n    eq(1)\n  })\n"
        "  it('takes', () => {})\n})\n"
    )
    script = changed_texts("test/a.test.js", former, former.replace("eq(1)", "eq(2)"))
    edited = edited_functions([script])
    assert edited == {"test/a.test.js::adds"}
    assert is_edited("test/a.test.js::a adds", edited)
    assert not is_edited("test/a.test.js::a takes", edited)
    assert not is_edited("tests/test_a.py::test_adds", edited)
