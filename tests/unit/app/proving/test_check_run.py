"""A proof as a check run: what each state and verdict becomes, and how much is said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.proving.records import ShownTest
from app.proof_block.text import find
from app.proving.check_run import MOST_ANNOTATED, check_run, proof_of_check
from app.proving.service import from_report, to_report
from app.repo_config.schema import Prove
from app.sanitize.markdown import CUT_NOTE
from app.storage.proofs import Proof
from tests.unit.app.proving.test_reports import FAILED, PROVEN

ASKED = Proof(
    id="abc",
    repository_id=1,
    installation_id=2,
    repository="acme/shop",
    private=True,
    pull_number=7,
    title="Fix",
    author="dev",
    author_is_bot=False,
    asked_by="command",
    sender="ann",
    base_branch="main",
    head_sha="c" * 40,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
STRICT = Prove(missing="failure")


def done(verdict: str, report: str = "", reason: str = "") -> Proof:
    """The proof with a result."""
    result = {"state": "done", "verdict": verdict, "report": report, "reason": reason}
    return ASKED.model_copy(update=result)


UNPROVEN = PROVEN.model_copy(update={"verdict": "unproven", "missing": ("No test.",)})


@pytest.mark.parametrize(
    ("proof", "status", "conclusion", "strict"),
    [
        (ASKED, "queued", None, None),
        (ASKED.model_copy(update={"state": "working"}), "in_progress", None, None),
        (ASKED.model_copy(update={"state": "cancelled"}), "completed", "cancelled", "cancelled"),
        (done("proven", to_report(PROVEN)), "completed", "success", "success"),
        (done("failed", to_report(FAILED)), "completed", "failure", "failure"),
        (done("unproven", to_report(UNPROVEN)), "completed", "neutral", "failure"),
        (done("", reason="The limit is reached."), "completed", "neutral", "failure"),
    ],
)
def test_what_a_proof_becomes(
    proof: Proof, status: str, conclusion: str | None, strict: str | None
) -> None:
    report = check_run(proof, Prove())
    assert (report.status, report.conclusion) == (status, conclusion)
    assert check_run(proof, STRICT).conclusion == strict
    assert proof_of_check(report.external_id) == "abc"
    assert report.title


def test_a_proof_that_was_judged_begins_with_its_block() -> None:
    block = find(check_run(done("failed", to_report(FAILED)), Prove()).summary)
    assert (block.kind, block.verdict, block.id) == ("change", "failed", "abc")
    assert (block.base, block.head) == (FAILED.base, FAILED.head)
    for proof in (ASKED, done("", reason="The limit is reached.")):
        assert "patchwright-proof" not in check_run(proof, Prove()).summary


def test_hostile_names_are_escaped_and_those_that_are_no_text_have_no_remark() -> None:
    judged = PROVEN.judged
    assert judged is not None
    [_, unneeded, _] = judged.hunks
    hunks = (
        unneeded,
        unneeded.model_copy(update={"path": "b\udc80.py"}),
        unneeded.model_copy(update={"line": 0}),
    )
    found = FAILED.model_copy(update={"judged": judged.model_copy(update={"hunks": hunks})})
    report = to_report(found)
    assert from_report(report) == found
    said = check_run(done("failed", report), Prove())
    assert [(a.path, a.first_line) for a in said.annotations] == [("a.py", 40), ("a.py", 1)]
    assert "\x1b" not in said.summary
    assert "- `tests/.py::test_<b>`: is flaky" in said.summary
    said.summary.encode()


def test_a_long_proof_fits() -> None:
    judged = PROVEN.judged
    assert judged is not None
    names = tuple(ShownTest(name=f"{n}" + "é😀" * 400, said="is flaky") for n in range(500))
    hunks = tuple(judged.hunks[1].model_copy(update={"line": n}) for n in range(1, 999))
    long = PROVEN.model_copy(
        update={"tests": names, "judged": judged.model_copy(update={"hunks": hunks})}
    )
    said = check_run(done("proven", to_report(long)), Prove())
    assert len(said.summary.encode()) <= 65_535
    assert len(said.annotations) == MOST_ANNOTATED
    assert "and 450 more" in said.summary


def test_a_proof_is_cut_by_its_bytes_which_github_counts() -> None:
    words = tuple("検" * 900 + str(number) for number in range(60))
    wide = PROVEN.model_copy(update={"missing": words, "broken": words})
    said = check_run(done("proven", to_report(wide)), Prove()).summary
    assert 60_000 < len(said.encode()) <= 65_535
    assert CUT_NOTE in said
