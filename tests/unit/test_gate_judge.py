"""The gate as a whole, over temporary folders instead of containers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.events import GateJudged, ReproductionDeclared
from agent.gate.judge import Submission, judge
from sandbox.protocol import Sandbox
from tests.doubles import gate_case as case
from tests.doubles.local_sandbox import LocalSandbox


async def judged(
    submission: Submission, repository: Mapping[str, str] = case.REPOSITORY
) -> GateJudged:
    opened: list[LocalSandbox] = []

    async def open_fresh() -> Sandbox:
        opened.append(LocalSandbox(dict(repository)))
        return opened[-1]

    verdict = await judge(submission, open_fresh)
    assert not any(box.root.exists() for box in opened), "a sandbox was left open"
    return verdict


async def test_an_honest_patch_is_proven_with_its_evidence() -> None:
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}))
    assert verdict.verdict == "proven", verdict.reasons
    checks = {check.name: check for check in verdict.checks}
    shown = checks["reproduction"]
    assert "assert 400 == 650" in shown.before and "1 passed" in shown.after
    assert shown.command == case.REPRODUCTION.command
    assert "3 tests passed before, 3 of them after" in checks["test suite"].detail
    assert "tests/test_total.py" in checks["regression test"].detail
    assert "tests/test_total.py" in verdict.patch and "+    for row in rows:" in verdict.patch


async def test_a_script_becomes_a_regression_test_in_place_and_style() -> None:
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, case.SCRIPT))
    assert verdict.verdict == "proven", verdict.reasons
    path = "tests/test_issue_7_total_leaves_out_the_first_row.py"
    assert f"+++ b/{path}" in verdict.patch
    assert "+def test_issue_7_total_leaves_out_the_first_row():" in verdict.patch
    assert "/tmp/repro.py" not in verdict.patch and "sys.path" not in verdict.patch


async def test_a_hunk_that_nothing_needs_is_dropped() -> None:
    padded = case.FIXED.replace("max(cents(row) for row in rows)", "max(map(cents, rows))")
    verdict = await judged(case.submission({"shop/stats.py": padded}))
    assert verdict.verdict == "proven", verdict.reasons
    assert "map(cents" not in verdict.patch and "+    for row in rows:" in verdict.patch
    note = next(check for check in verdict.checks if check.name == "unneeded hunks")
    assert "shop/stats.py:" in note.detail and "dropped" in note.detail


async def test_a_patch_that_breaks_another_test_is_not_proven() -> None:
    broken = case.FIXED.replace("max(", "min(")
    verdict = await judged(case.submission({"shop/stats.py": broken}))
    assert verdict.verdict == "unproven"
    assert "tests/test_shop.py::test_largest" in " ".join(verdict.reasons)


async def test_a_patch_that_mends_nothing_is_not_proven() -> None:
    idle = case.STATS.replace("result = 0", "result = 0 + 0")
    verdict = await judged(case.submission({"shop/stats.py": idle}))
    assert verdict.verdict == "unproven"
    assert "passes in 0 of 3 runs" in " ".join(verdict.reasons)


async def test_a_reproduction_that_passes_without_the_patch_proves_nothing() -> None:
    easy = case.REPRODUCTION.model_copy(
        update={"files": {"tests/test_total.py": "def test_a():\n    assert True\n"}}
    )
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, easy))
    assert verdict.verdict == "unproven"
    assert "passes without the patch" in " ".join(verdict.reasons)


async def test_a_reproduction_that_fails_for_another_reason_proves_nothing() -> None:
    other = case.REPRODUCTION.model_copy(update={"expected_failure": "ZeroDivisionError"})
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, other))
    assert verdict.verdict == "unproven"
    assert "claimed reason" in " ".join(verdict.reasons)


async def test_without_a_reproduction_the_result_is_a_draft() -> None:
    none = ReproductionDeclared(
        command="", expected_failure="", observed="", accepted=True, why_none="needs a printer"
    )
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, none))
    assert verdict.verdict == "unproven"
    assert "needs a printer" in " ".join(verdict.reasons)
    assert next(c for c in verdict.checks if c.name == "test suite").ok


async def test_failures_and_flaky_tests_of_the_base_are_not_blamed() -> None:
    repository = {
        **case.REPOSITORY,
        "tests/test_bad.py": "def test_broken():\n    assert False\n",
        "tests/test_flaky.py": (
            "import pathlib\n\n\ndef test_sometimes():\n"
            "    mark = pathlib.Path(__file__).parents[2] / 'scratch' / 'mark'\n"
            "    seen = mark.exists()\n    mark.touch()\n    assert seen\n"
        ),
    }
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}), repository)
    assert verdict.verdict == "proven", verdict.reasons
    detail = next(c for c in verdict.checks if c.name == "test suite").detail
    assert "Flaky without the patch and not counted: tests/test_flaky.py::test_sometimes" in detail
    assert "Failing without the patch: 1, of which it mends 0" in detail


async def test_a_process_that_ends_early_hides_nothing() -> None:
    quiet = case.submission({"shop/stats.py": case.FIXED + "\n\nimport os as _o\n_o._exit(0)\n"})
    verdict = await judged(quiet)
    assert verdict.verdict == "unproven"
    assert "no test ran" in next(c for c in verdict.checks if c.name == "reproduction").after


@pytest.mark.parametrize("name", list(case.DISHONEST))
async def test_dishonest_patches_are_refused(name: str) -> None:
    changes, reason = case.DISHONEST[name]
    verdict = await judged(case.submission(changes))
    assert verdict.verdict in ("refused", "unproven")
    assert reason in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("patch", "verdict", "reason"),
    [
        ("", "unproven", "changes nothing"),
        ("hello\n", "refused", "not in git's format"),
        (case.patch({"shop/stats.py": "x\n"}, {"shop/stats.py": "y\n"}), "refused", "not apply"),
        (case.patch({"../x.py": "x\n"}), "refused", "outside the tree"),
    ],
)
async def test_patches_that_are_none(patch: str, verdict: str, reason: str) -> None:
    sent = case.submission({}).model_copy(update={"patch": patch})
    result = await judged(sent)
    assert result.verdict == verdict
    assert reason in " ".join(result.reasons)
