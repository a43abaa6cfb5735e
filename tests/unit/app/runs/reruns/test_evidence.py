"""Whether a failed CI job is run again, from its log and what is known of its tests."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.gate.compare import suite_check
from agent.journal.events import GateJudged
from agent.testing.report import SuiteRun, TestResult
from app.runs.reruns.evidence import JobFacts, evidence, known_flaky, passed_files
from app.runs.reruns.log_signs import MOST_TESTS, FailedTest, LogSigns, read_log

LOGS = json.loads((Path(__file__).parents[4] / "data" / "ci_logs.json").read_text("utf-8"))
"""What failed jobs printed, after public issues: the lines that tell, with other addresses."""
LOST = "The hosted runner: GitHub Actions 8 lost communication with the server. Anything …"


@pytest.mark.parametrize("kept", LOGS, ids=[kept["source"] for kept in LOGS])
def test_what_a_log_of_a_public_issue_says(kept: dict[str, object]) -> None:
    signs = read_log(str(kept["log"]))
    assert bool(signs.infrastructure) == kept["infrastructure"]


def step(*lines: str) -> str:
    return "\n".join(["##[group]Run make", *lines, "##[error]Process completed with exit code 1."])


FETCH = "E: Failed to fetch http://x.example/a.deb  503  Service Unavailable [IP: 192.0.2.1 80]"


def test_only_the_step_that_failed_counts() -> None:
    assert read_log(step(FETCH)).infrastructure == FETCH
    assert (
        read_log(f"##[group]Run apt\n{FETCH}\n{step('src/a.c:1: error: x')}").infrastructure == ""
    )
    assert (
        read_log(f"{step('src/a.c:1: error: x')}\n##[group]Run apt\n{FETCH}").infrastructure == ""
    )
    assert read_log(step(FETCH, *["more"] * 200)).infrastructure == ""  # it went on
    stamped = "\n".join(f"2026-11-28T14:00:00.1234567Z {line}" for line in step(FETCH).split("\n"))
    assert read_log(stamped).infrastructure == FETCH


def test_where_tests_failed_no_download_is_to_blame_but_a_lost_machine_may_be() -> None:
    failed = "FAILED tests/test_a.py::test_b - assert 1 == 2"
    signs = read_log(step(FETCH, failed))
    assert signs == LogSigns(tests=(FailedTest(file="tests/test_a.py", name="test_b"),))
    assert read_log(step("--- FAIL: TestA/b (0.01s)", FETCH)).infrastructure == ""
    assert read_log(step(failed), [LOST]).infrastructure == LOST
    # What a test prints in the middle of a line is not the runner's word.
    assert read_log(step(f"print: {LOST}", failed)).infrastructure == ""


@pytest.mark.parametrize(
    ("line", "file", "name"),
    [
        ("FAILED tests/test_a.py::TestB::test_c[1-x] - E", "tests/test_a.py", "TestB::test_c[1-x]"),
        ("FAIL: test_c (tests.test_a.TestB.test_c)", "", "test_c"),
        ("--- FAIL: TestTotal (0.00s)", "", "TestTotal"),
        (" FAIL  src/cart.test.ts > total > is right", "src/cart.test.ts", ""),
        ("FAIL src/cart.test.js", "src/cart.test.js", ""),
        ("test cart::tests::total ... FAILED", "", "cart::tests::total"),
        ("rspec ./spec/cart_spec.rb:12 # Cart total", "spec/cart_spec.rb", ""),
    ],
)
def test_the_tests_that_a_log_names(line: str, file: str, name: str) -> None:
    assert read_log(step(line)).tests == (FailedTest(file=file, name=name),)


def test_a_hostile_log_costs_little_and_says_little() -> None:
    assert read_log("") == LogSigns()
    names = [f"FAILED tests/t.py::test_{n} - x" for n in range(5000)]
    assert len(read_log(step(*names)).tests) == MOST_TESTS
    wide = "E: Failed to fetch " + "a " * 100_000 + "timed out"
    assert len(read_log(step(wide, "##[error]" * 10_000)).infrastructure) <= 300
    assert "\x1b" not in read_log(step(f"\x1b[31m{FETCH}\x1b[0m")).infrastructure
    # Lines that make a pattern of several `.*` take half a minute each.
    summary = "=== " + "1 failed " * 60 + " in 1s" * 100 + "=" * 700 + "x"
    began = time.process_time()
    read_log(step(summary, "Tests" + " " * 700 + "1" * 1200))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "line",
    [
        "=== 1 failed, 2 passed in 0.12s ===",
        "========= 3 passed in 1.50s (0:00:01) =========",
        "Tests:       1 failed, 3 passed, 4 total",
        "     Tests  11 failed | 4 passed (15)",
        " Test Files  1 failed (1)",
    ],
)
def test_where_a_summary_of_tests_stands_no_download_is_to_blame(line: str) -> None:
    assert read_log(step(FETCH)).infrastructure
    assert not read_log(step(line, FETCH)).infrastructure


SIGNS = LogSigns(tests=(FailedTest(file="tests/test_a.py", name="test_b"),))
FACTS = JobFacts(attempt=1, signs=SIGNS)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (FACTS, ""),
        (replace(FACTS, signs=LogSigns()), ""),
        (replace(FACTS, signs=LogSigns(infrastructure=LOST)), "Its machine or the network failed"),
        (replace(FACTS, attempt=2, signs=LogSigns(infrastructure=LOST)), "Its machine"),
        (replace(FACTS, attempt=3, signs=LogSigns(infrastructure=LOST)), ""),
        (replace(FACTS, flaky=frozenset({"tests/test_a.py::test_b[1]"})), "flaky without the"),
        (replace(FACTS, flaky=frozenset({"tests/test_z.py::test_b"})), ""),
        (replace(FACTS, flaky=frozenset({"tests/test_a.py::test_c"})), ""),
        (replace(FACTS, both_ways="a" * 40), "On aaaaaaaaaaaa of the base branch"),
        (replace(FACTS, attempt=2, both_ways="a" * 40), "On aaaaaaaaaaaa"),
        (replace(FACTS, passed_files=frozenset({"tests/test_a.py"})), "leaves these tests alone"),
        (replace(FACTS, attempt=2, passed_files=frozenset({"tests/test_a.py"})), ""),
        (
            replace(
                FACTS,
                passed_files=frozenset({"tests/test_a.py"}),
                changed=frozenset({"tests/test_a.py"}),
            ),
            "",
        ),
    ],
)
def test_what_is_evidence(facts: JobFacts, words: str) -> None:
    why = evidence(facts)
    assert words in why
    assert bool(why) == bool(words)


def test_one_test_that_is_not_known_to_be_flaky_is_enough_for_an_attempt() -> None:
    other = FailedTest(file="tests/test_a.py", name="test_other")
    signs = LogSigns(tests=(*SIGNS.tests, other))
    assert evidence(replace(FACTS, flaky=frozenset({"tests/test_a.py::test_b"}))) != ""
    known = replace(FACTS, signs=signs, flaky=frozenset({"tests/test_a.py::test_b"}))
    assert evidence(known) == ""


def run(**outcomes: str) -> SuiteRun:
    results = tuple(
        TestResult.model_validate({"name": f"t/test_{n[0]}.py::test_{n}", "outcome": outcome})
        for n, outcome in outcomes.items()
    )
    return SuiteRun(command="pytest", exit_code=0, output="", results=results)


def test_what_the_gate_has_seen() -> None:
    before = [run(a="passed", b="failed", c="passed"), run(a="passed", b="passed", c="passed")]
    check = suite_check(before, [run(a="passed", ab="failed", b="passed", c="passed")])
    judged = GateJudged(verdict="proven", checks=(check,))
    assert known_flaky([judged]) == {"t/test_b.py::test_b"}
    assert passed_files(judged) == {"t/test_b.py", "t/test_c.py"}
    assert check.counts_before is not None
    assert check.counts_before.model_dump() == {
        "runs": 2,
        "passed": 2,
        "failed": 1,
        "error": 0,
        "skipped": 0,
    }
    assert passed_files(None) == frozenset()
