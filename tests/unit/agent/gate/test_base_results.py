"""What is kept of a base's results, and what is not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.gate.base_results import keep_results, load_results
from agent.gate.judge import Submission, judge
from agent.task import KeptBase
from agent.testing.report import SuiteRun, TestResult
from sandbox.protocol import Sandbox
from tests.doubles import gate_case as case
from tests.doubles.local_sandbox import LocalSandbox

RUN = SuiteRun(
    command="pytest",
    exit_code=1,
    output="x",
    results=(TestResult(name="t.py::a", outcome="failed", message="secret words"),),
)


def base(folder: Path, **changed: str) -> KeptBase:
    named = {"repository": "o/r", "commit": "c1", "environment": "sha256:1"} | changed
    return KeptBase.model_validate({"folder": str(folder), **named})


def test_results_are_found_again_without_failure_texts(tmp_path: Path) -> None:
    keep_results(base(tmp_path), "pytest", 60, [RUN, RUN])
    found = load_results(base(tmp_path), "pytest", 60)
    assert [run.outcomes for run in found] == [RUN.outcomes] * 2
    assert "secret words" not in "".join(p.read_text() for p in tmp_path.rglob("*.json"))


@pytest.mark.parametrize("other", ["repository", "commit", "environment"])
def test_one_base_never_serves_another(tmp_path: Path, other: str) -> None:
    keep_results(base(tmp_path), "pytest", 60, [RUN, RUN])
    assert load_results(base(tmp_path, **{other: "else"}), "pytest", 60) == ()
    assert load_results(base(tmp_path), "pytest -x", 60) == ()


def test_a_file_of_another_key_or_with_other_content_is_not_believed(tmp_path: Path) -> None:
    keep_results(base(tmp_path), "pytest", 60, [RUN, RUN])
    (path,) = tmp_path.rglob("*.json")
    genuine = path.read_text()
    path.write_text(genuine.replace("failed", "passed"))
    assert load_results(base(tmp_path), "pytest", 60) == ()
    path.write_text(genuine)
    keep_results(base(tmp_path, commit="c2"), "pytest", 60, [RUN])
    other = next(p for p in tmp_path.rglob("*.json") if p != path)
    path.write_text(other.read_text())
    assert load_results(base(tmp_path), "pytest", 60) == ()


@pytest.mark.parametrize(
    "bad", [RUN.model_copy(update={"timed_out": True}), RUN.model_copy(update={"results": ()})]
)
def test_runs_without_results_are_not_kept(tmp_path: Path, bad: SuiteRun) -> None:
    keep_results(base(tmp_path), "pytest", 60, [RUN, bad])
    assert not list(tmp_path.rglob("*.json"))


async def _judged(submission: Submission) -> str:
    async def open_fresh() -> Sandbox:
        return LocalSandbox(dict(case.REPOSITORY))

    return (await judge(submission, open_fresh)).verdict


async def test_a_patch_that_breaks_a_test_leaves_nothing_for_the_next_submission(
    tmp_path: Path,
) -> None:
    """What runs with the patch of one submission is never the next one's base."""
    named = {"kept_base": base(tmp_path)}
    broken = case.submission({"shop/stats.py": case.FIXED.replace("max(", "min(")})
    assert await _judged(broken.model_copy(update=named)) == "unproven"
    (path,) = tmp_path.rglob("*.json")
    kept = load_results(base(tmp_path), broken.test_command, broken.test_timeout_s)
    assert {o for run in kept for o in run.outcomes.values()} == {"passed"}
    written = path.stat().st_mtime_ns
    good = case.submission({"shop/stats.py": case.FIXED})
    assert await _judged(good.model_copy(update=named)) == "proven"
    assert path.stat().st_mtime_ns == written, "the base was measured again"
    assert await _judged(broken.model_copy(update=named)) == "unproven"
