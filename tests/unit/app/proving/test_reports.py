"""A proof as text, JUnit XML and SARIF; hostile names in it do nothing."""

from __future__ import annotations

import json

from defusedxml import ElementTree

from agent.journal.events import Check, GateJudged, HunkEvidence, ReproductionDeclared
from agent.proving.records import ChangeProof, Finding, ShownTest
from app.proving.junit_report import junit_xml
from app.proving.sarif_report import RULES, sarif
from app.proving.text_report import telling_line, text_report

ESCAPE = "\x1b]0;owned\x07"
SHOWN = ShownTest(
    name="tests/test_a.py::test_b",
    said="shows the bug",
    message="def test_b():\n>   assert f() == 4\nE   assert 3 == 4\nE    +  where 3 = f()\n",
)
PROVEN = ChangeProof(
    verdict="proven",
    base="b" * 40,
    head="c" * 40,
    test_command="pytest -q",
    files=("a.py", ".github/ci.yml", "tests/test_a.py"),
    tests=(SHOWN, ShownTest(name="tests/test_a.py::test_c", said="passes without the change")),
    findings=(Finding(rule="patch", detail=".github/ci.yml: no patch may touch it."),),
    judged=GateJudged(
        attempt=1,
        verdict="proven",
        checks=(
            Check(name="test suite", ok=True, detail="3 tests passed before, 3 after."),
            Check(name="documented examples", ok=True, detail="2 documented examples held."),
            Check(name="strength", ok=True, detail="It tells the fix from 5 of 6 variants."),
        ),
        hunks=(
            HunkEvidence(path="a.py", line=3, needed_by="the reproduction"),
            HunkEvidence(path="a.py", line=40),
            HunkEvidence(path="a.py", line=50, tried=False),
        ),
    ),
)
FAILED = PROVEN.model_copy(
    update={
        "verdict": "failed",
        "tests": (ShownTest(name=f"tests/{ESCAPE}.py::test_<b>", said="is flaky"),),
        "missing": (f"These tests do not end the same way each time: {ESCAPE}.",),
        "broken": ("tests/test_z.py::test_y",),
    }
)


def test_the_text_says_the_verdict_first_and_then_what_shows_it() -> None:
    text = text_report(PROVEN)
    assert text.startswith("bbbbbbbbbbbb → cccccccccccc: Proven")
    assert "tests/test_a.py::test_b\n    assert 3 == 4\n" in text
    assert "tests/test_a.py::test_c: passes without the change" in text
    assert "a.py:3, needed by what is shown above" in text
    assert "a.py:40\n" in text and "a.py:50" not in text
    assert "pytest -q\n  3 tests passed before, 3 after." in text
    assert "2 documented examples held.\n  It tells the fix from 5 of 6 variants.\n" in text
    failed = text_report(FAILED)
    assert "Failed" in failed.splitlines()[0] and "tests/test_z.py::test_y" in failed


def test_a_long_list_is_cut() -> None:
    many = PROVEN.model_copy(update={"left_out": tuple(f"file {n}" for n in range(50))})
    assert "file 19\n  and 30 more" in text_report(many)


def test_a_failure_without_marked_lines_is_told_by_its_last() -> None:
    assert telling_line("Error: no\n\n  at f (a.js:3)\n") == "at f (a.js:3)"
    assert telling_line("") == ""


def test_junit_has_a_case_for_the_proof_and_for_each_test() -> None:
    root = ElementTree.fromstring(junit_xml(PROVEN))
    cases = {case.get("name"): case.find("failure") for case in root.iter("testcase")}
    assert cases["proof"] is None and cases[SHOWN.name] is None
    green = cases["tests/test_a.py::test_c"]
    assert green is not None and green.get("message") == "passes without the change"
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    written = junit_xml(FAILED)
    names = [case.get("name") for case in ElementTree.fromstring(written).iter("testcase")]
    assert names == ["proof", "tests/<U+001B>]0;owned<U+0007>.py::test_<b>", FAILED.broken[0]]
    assert b"\x1b" not in written and b"\x07" not in written


def test_sarif_names_the_place_of_each_thing_to_look_at() -> None:
    run = json.loads(sarif(PROVEN))["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    places = [
        (
            result["ruleId"],
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for result in run["results"]
    ]
    assert places == [("no-test-needs-it", "a.py", 40), ("finding", ".github/ci.yml", 1)]
    results = json.loads(sarif(FAILED))["runs"][0]["results"]
    assert [result["level"] for result in results] == ["warning", "error", "note", "warning"]
    assert "\x1b" not in results[0]["message"]["text"]
    assert all(result["ruleId"] in RULES for result in results)


def test_what_is_only_new_is_told_in_its_own_words_and_not_as_a_bug_fix() -> None:
    tests = (
        ShownTest(
            name="tests/test_a.py::test_b", said="lacks a new name without the change", wanting="g"
        ),
    )
    proof = PROVEN.model_copy(update={"shows": "something new", "tests": tests})
    first, text = text_report(proof).splitlines()[0], text_report(proof)
    assert "Red then green, but no bug fix" in first and "(g)" in first
    assert "the bug" not in text and "tests/test_a.py::test_b: g" in text
    cases = [*ElementTree.fromstring(junit_xml(proof)).iter("failure")]
    assert cases == []


def test_what_a_model_wrote_is_shown_whole() -> None:
    written = ReproductionDeclared(
        command="pytest -q tests/test_r.py",
        files={"tests/test_r.py": f"def test_r():\n    assert f() == 4  # {ESCAPE}\n"},
        expected_failure="assert 3 == 4",
        observed="E   assert 3 == 4",
        accepted=True,
    )
    text = text_report(PROVEN.model_copy(update={"written": written, "tests": ()}))
    assert "a model wrote from the issue:\n  pytest -q tests/test_r.py\n    assert 3 == 4" in text
    assert "  tests/test_r.py:\n    def test_r():\n" in text
