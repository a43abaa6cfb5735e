"""The answer of a search, for a terminal."""

from __future__ import annotations

from agent.bisection.records import Bisection, Commit
from agent.journal.events import ReproductionDeclared
from app.bisection.command import BisectAnswer
from app.bisection.text_report import text_report


def test_a_commit_whose_time_is_no_date_is_named_too() -> None:
    parent = Commit(id="a" * 40, parents=(), author="Ann", at=10**14, subject="First")
    culprit = Commit(id="b" * 40, parents=(parent.id,), author="Bob", at=2**60, subject="Second")
    declared = ReproductionDeclared(
        command="false", files={}, expected_failure="", observed="", accepted=True
    )
    found = Bisection(
        finding="found", culprit=culprit.id, last_good=(parent.id,), commits=2, trials=()
    )
    said = text_report(BisectAnswer(declared, found, (culprit, parent)))
    assert said.startswith(f"Introduced by {'b' * 12} (no date, Bob): Second\n")
