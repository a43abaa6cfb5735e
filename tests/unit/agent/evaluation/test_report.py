"""Instances read and refused; results kept and torn; what reports and comparisons say of them."""

from __future__ import annotations

import json

import pytest

from agent.evaluation.compare import NothingShared, compare
from agent.evaluation.cost import Prices, cost, gpu_seconds
from agent.evaluation.hidden import passes, selection, split_files, verdict, without_files
from agent.evaluation.instances import (
    BadInstances,
    Instance,
    read_instances,
    title_and_body,
    write_instances,
)
from agent.evaluation.report import Report, effort, verdicts
from agent.evaluation.results import AttemptResult, HiddenVerdict, InstanceResult, read_results
from agent.evaluation.selection import chosen_attempt, prediction
from agent.evaluation.statistics import share
from agent.journal.events import Outcome
from agent.model import Usage
from agent.testing.report import Outcome as TestOutcome
from agent.testing.report import SuiteRun
from app.evaluation.html_report import histogram, report_page
from app.evaluation.text_report import share_text, verdict_of

ROW = {
    "instance_id": "o__r-1",
    "repo": "o/r",
    "base_commit": "a" * 40,
    "problem_statement": "# It breaks\n\nAlways.",
    "test_patch": "diff --git a/t.py b/t.py\n",
    "FAIL_TO_PASS": '["t.py::test_a"]',
    "PASS_TO_PASS": ["t.py::test_b"],
    "version": "1.2",
    "created_at": "2024-01-01",
}


def line(**changes: object) -> str:
    return json.dumps({**ROW, **changes})


def instance(**changes: object) -> Instance:
    return read_instances(line(**changes))[0]


def attempt(
    number: int = 1, outcome: Outcome = "proven", right: bool = True, lines: int = 2, **more: object
) -> AttemptResult:
    hidden = HiddenVerdict(resolved=right, failed=() if right else ("t.py::test_a",))
    return AttemptResult.model_validate(
        {
            "number": number,
            "outcome": outcome,
            "patch": f"patch {number}" if outcome in ("proven", "draft") else "",
            "hidden": hidden,
            "calls": 10,
            "turns": 5,
            "changed_lines": lines,
            "changed_files": 1,
            **more,
        }
    )


def result(name: str, *attempts: AttemptResult) -> InstanceResult:
    return InstanceResult(instance_id=name, attempts=attempts)


def test_rows_of_swe_bench_are_read_and_written_back() -> None:
    (read,) = read_instances(line() + "\n\n")
    assert read.FAIL_TO_PASS == ("t.py::test_a",)
    assert read.PASS_TO_PASS == ("t.py::test_b",)
    assert read_instances(write_instances([read])) == (read,)
    listed = f"[{line()},\n {line(instance_id='other')}]"
    assert [i.instance_id for i in read_instances(listed)] == ["o__r-1", "other"]
    written = json.loads(write_instances([read]))
    assert json.loads(written["FAIL_TO_PASS"]) == ["t.py::test_a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no instances"),
        ("{", "line 1: this is not JSON"),
        ("[1]", "line 1"),
        ("[{}", "neither JSON lines nor a JSON list"),
        (line(FAIL_TO_PASS=[]), "line 1: FAIL_TO_PASS"),
        (line(FAIL_TO_PASS="t.py::test_a"), "neither a list nor"),
        (line(FAIL_TO_PASS=["t.py::test_b"]), "is in FAIL_TO_PASS and in PASS_TO_PASS"),
        (line(base_commit="--upload-pack=x"), "base_commit"),
        (line(instance_id="../../x"), "instance_id"),
        (line() + "\n" + line(), "line 2: the instance o__r-1 occurs twice"),
    ],
)
def test_what_is_no_instance_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadInstances) as refused:
        read_instances(text)
    assert said in str(refused.value)


def test_a_statement_becomes_an_issue() -> None:
    assert title_and_body("# It breaks\n\nAlways.") == ("It breaks", "Always.")
    title, body = title_and_body("x" * 500)
    assert len(title) == 201
    assert body == "x" * 500


PATCH = (
    "diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-a\n+b\n"
    "diff --git a/tests/test_a.py b/tests/test_a.py\nnew file mode 100644\n"
    "--- /dev/null\n+++ b/tests/test_a.py\n@@ -0,0 +1 @@\n+diff --git a/x b/x\n"
)


def test_patches_are_taken_apart_by_file() -> None:
    assert [p for p, _ in split_files(PATCH)] == ["src/a.py", "tests/test_a.py"]
    assert "".join(part for _, part in split_files(PATCH)) == PATCH
    assert without_files(PATCH, ["tests/test_a.py"]).endswith("+b\n")
    assert without_files(PATCH, ["src/a.py", "tests/test_a.py"]) == ""


def test_pytest_runs_the_files_of_the_names_and_other_runners_everything() -> None:
    assert selection(["t/a.py::x", "t/b.py::y[1]"], ["t/a.py"]) == "t/a.py\nt/b.py"
    assert selection(["TestThing"], ["thing_test.go"]) == ""


def test_a_hidden_test_without_result_did_not_pass() -> None:
    ran = SuiteRun(command="pytest", exit_code=2, output="")
    asked = instance()
    good = verdict(asked, {"t.py::test_a": "passed", "t.py::test_b": "passed"}, ran)
    assert good.resolved
    missing = verdict(asked, {"t.py::test_a": "passed"}, ran)
    assert (missing.resolved, missing.failed) == (False, ("t.py::test_b",))
    skipped = verdict(asked, {"t.py::test_a": "skipped", "t.py::test_b": "passed"}, ran)
    assert skipped.failed == ("t.py::test_a",)
    nothing = verdict(asked, {}, ran)
    assert "exit 2" in nothing.problem


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t.py::test_a[x y]", True),
        ("t.py::test_a[x", False),
        ("t.py::test_b[x", True),
        ("t.py::test_b", False),
        ("test_c (m.tests.Case)", True),
        ("test_c (m.tests.Case.test_c)", True),
        ("test_d (m.tests.Case)", False),
    ],
)
def test_names_out_of_printed_logs_are_found(name: str, expected: bool) -> None:
    outcomes: dict[str, TestOutcome] = {
        "t.py::test_a[x y]": "passed",
        "t.py::test_a[x z]": "failed",
        "t.py::test_b[x y]": "passed",
        "t.py::test_b[x z]": "passed",
        "m.tests.Case.test_c": "passed",
        "m.tests.Case.test_d": "failed",
    }
    assert passes(name, outcomes) is expected


def test_a_partial_last_line_is_ignored() -> None:
    whole = result("a", attempt()).model_dump_json().encode() + b"\n"
    again = result("a", attempt(outcome="diagnosis")).model_dump_json().encode() + b"\n"
    found, length = read_results(whole + again + whole[:40])
    assert found["a"].attempts[0].outcome == "diagnosis"
    assert length == len(whole + again)
    with pytest.raises(ValueError, match="line 2"):
        read_results(whole + b"{}\n")


def test_the_gate_chooses_and_hidden_tests_do_not() -> None:
    wrong = attempt(1, "proven", right=False, lines=1)
    right = attempt(2, "proven", right=True, lines=3)
    draft = attempt(3, "draft", right=True, lines=1)
    assert chosen_attempt([draft, right, wrong]) == wrong
    assert chosen_attempt([]) is None
    assert prediction(result("a", draft, right), "m").model_patch == "patch 2"
    assert prediction(result("a"), "m").model_patch == ""


def test_shares_count_every_instance_that_was_asked_for() -> None:
    results = {
        "a": result("a", attempt()),
        "b": result("b", attempt(right=False)),
        "c": result("c", attempt(outcome="diagnosis", right=False)),
        "d": InstanceResult(instance_id="d", status="error", error="the image is missing"),
        "e": result("e", attempt(outcome="draft")),
    }
    said = verdicts(["a", "b", "c", "d", "e", "f"], results, 1, {"b": "the merged fix"})
    assert said.resolved == share(2, 6)
    assert said.proven == share(2, 6)
    assert said.precision == share(1, 2)
    assert said.recall == share(1, 2)
    assert said.errors == 2
    assert [(f.instance_id, f.failed) for f in said.false_proofs] == [("b", ("t.py::test_a",))]
    assert [(f.patch, f.merged) for f in said.false_proofs] == [("patch 1", "the merged fix")]
    notes = {row.instance_id: row.note for row in said.rows}
    assert notes["d"] == "the image is missing"
    assert notes["b"] == "fails t.py::test_a"
    assert notes["c"] == "no patch"


def test_more_attempts_help_an_oracle_more_than_the_gate() -> None:
    # The wrong proof is the smaller one: the gate takes it whenever it is among the chosen.
    own = (
        attempt(1, "proven", right=False, lines=1),
        attempt(2, "proven", right=True, lines=2),
        attempt(3, "diagnosis", right=False),
    )
    said = verdicts(["a"], {"a": result("a", *own)}, 3)
    by_k = {at.k: at for at in said.at_k}
    assert (by_k[1].passed.value, by_k[1].selected.value) == pytest.approx((1 / 3, 1 / 3))
    assert by_k[2].passed.value == pytest.approx(2 / 3)
    assert by_k[2].selected.value == pytest.approx(1 / 3)
    assert (by_k[3].passed.value, by_k[3].selected.value) == (1.0, 0.0)


def test_cost_is_of_tokens_and_gpu_time() -> None:
    usage = Usage(prompt_tokens=3_000_000, cached_tokens=2_000_000, completion_tokens=500_000)
    tokens = Prices(prompt=1.0, cached=0.1, completion=4.0)
    assert cost(usage, 60, tokens) == pytest.approx(1.0 + 0.2 + 2.0)
    gpus = Prices(gpu_hour=3.0, gpus_per_stream=0.5)
    assert gpu_seconds(7200, gpus) == 3600
    assert cost(usage, 7200, gpus) == pytest.approx(3.0)
    took = effort([result("a", attempt(usage=usage, model_s=10.0))], 1, tokens)
    assert took.cost_per_resolved == pytest.approx(3.2)
    assert effort([], 0, Prices()).cost is None


def report(name: str, right: dict[str, bool]) -> Report:
    results = {k: result(k, attempt(right=v)) for k, v in right.items()}
    return Report(
        name=name,
        model="m",
        prompt_version="1",
        attempts=1,
        verdicts=verdicts(list(right), results, 1),
        effort=effort(list(results.values()), sum(right.values()), Prices()),
    )


def test_a_comparison_pairs_the_instances_that_both_have() -> None:
    a = report("A", {"x": True, "y": True, "z": False, "only a": True})
    b = report("B", {"x": True, "y": False, "z": False})
    found = compare(a, b)
    assert (found.instances, found.left_out) == (3, 1)
    assert (found.paired.only_a, found.only_a) == (1, ("y",))
    assert "may well be chance" in verdict_of(found)
    many = {str(i): True for i in range(10)}
    clear = compare(report("A", dict.fromkeys(many, False)), report("B", many))
    assert clear.significant
    assert "B is better" in verdict_of(clear)
    with pytest.raises(NothingShared):
        compare(a, report("C", {"elsewhere": True}))


def test_the_page_escapes_what_came_from_outside() -> None:
    hostile = "<script>alert(1)</script>"
    page = report_page(report(hostile, {"a": True, "b": False}))
    assert hostile not in page
    assert "&lt;script&gt;" in page
    assert "http-equiv" in page
    assert "1/2 = 50.0%" in share_text(share(1, 2))


def test_a_histogram_counts_every_value_once() -> None:
    bars = histogram([0, 5, 5, 119, 300])
    assert sum(count for _, count, _ in bars) == 5
    assert max(part for _, _, part in bars) == 1
    assert histogram([]) == []
