"""What several runs of a suite say together, and how a check's report is shown."""

from __future__ import annotations

import pytest

from agent.task import GatePolicy
from agent.testing.report import Outcome, SuiteRun, TestResult
from app.check.measure import shown_line
from app.check.pages import html_page, rows, text_report
from app.check.report import CheckReport, SlowTest, ToolVersion, gate_seconds, together


def run(**outcomes: Outcome) -> SuiteRun:
    results = tuple(
        TestResult(
            name=name,
            outcome=outcome,
            message="socket.gaierror: Name or service not known" if name == "online" else "",
            duration_s=len(name) / 10,
        )
        for name, outcome in outcomes.items()
    )
    return SuiteRun(command="pytest", exit_code=0, output="", results=results)


def test_runs_are_taken_together() -> None:
    whole = together(
        [
            run(good="passed", bad="failed", online="failed", luck="passed"),
            run(good="passed", bad="error", online="failed", luck="failed"),
            run(good="passed", bad="failed", online="failed", other="passed"),
        ]
    )
    assert whole.failing == ("bad", "online")
    assert whole.flaky == ("luck",)
    assert whole.not_always == ("luck", "other")
    assert whole.network == ("online",)
    assert whole.slowest[0] == SlowTest(name="online", seconds=0.6)
    assert together([]).failing == ()
    timed = run(good="passed", online="passed").model_copy(update={"duration_s": 0.5})
    assert [one.name for one in together([timed]).slowest] == ["good"], "the other moved the clock"


def test_what_the_gate_takes_grows_with_the_suite() -> None:
    policy = GatePolicy(suite_runs=3.0, evidence_s=600.0)
    assert gate_seconds(10.0, policy) == (40.0, 640.0)
    assert gate_seconds(300.0, policy) == (1200.0, 2100.0)


REPORT = CheckReport(
    repository="o/<b>r",
    commit="0123456789abcdef",
    ready=False,
    environment="detection (pyproject.toml)",
    image="i",
    cached=False,
    setup_s=12.3,
    test_command="python3 -m pytest -q",
    suite_s=2.0,
    tests={"passed": 3, "failed": 1},
    runs=3,
    failing=("tests/test_a.py::test_b[<script>]",),
    failing_count=1,
    versions=(
        ToolVersion(tool="Python", present="3.11.2", stated=(">=3.12 (pyproject.toml)",)),
        ToolVersion(tool="pnpm", present="", stated=("10 (package.json)",)),
        ToolVersion(tool="Go", present=""),
    ),
    degraded="The project needs Python >=3.12.",
    gate_least_s=8.0,
    gate_most_s=608.0,
)


def test_a_report_is_readable_as_text() -> None:
    text = text_report(REPORT)
    assert "tests         1 failed, 3 passed" in text
    assert "Python        3.11.2; stated: >=3.12 (pyproject.toml)" in text
    assert ", run 3 times\n" in text
    assert ", run once\n" in text_report(REPORT.model_copy(update={"runs": 1}))
    assert text.endswith("Not ready: The project needs Python >=3.12.")
    assert text_report(REPORT.model_copy(update={"ready": True})).endswith("Ready.")


def test_nothing_of_a_repository_is_markup_on_the_page() -> None:
    page = html_page(REPORT)
    assert "<b>r" not in page
    assert "<script>" not in page
    assert "Not ready:" in page
    assert CheckReport.model_validate_json(REPORT.model_dump_json()) == REPORT


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "dial tcp: lookup x on 10.1.2.3:53: no such host\nmore",
            "dial tcp: lookup x on (an address): no such host",
        ),
        ("GET http://192.168.0.7:8080/a failed", "GET http://(an address)/a failed"),
        (
            "connect fd00:1:2:3:4:5:6:7 refused at 12:34:56",
            "connect (an address) refused at 12:34:56",
        ),
        ("No matching distribution for a==1.2.3.4", "No matching distribution for a==1.2.3.4"),
        ("word " * 100, "word " * 59 + "word …"),
        ("", ""),
    ],
)
def test_a_line_for_people_outside_names_no_address_and_ends_with_a_word(
    said: str, shown: str
) -> None:
    assert shown_line(said) == shown


def test_what_an_image_is_not_asked_for_is_not_called_missing() -> None:
    said = dict(rows(REPORT))
    assert said["pnpm"] == "stated: 10 (package.json)"
    assert said["Go"] == "not there"
