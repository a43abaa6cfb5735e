"""Which issues a night looks at, in which order, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.github.records import ListedIssue
from app.nightly.picking import UNCHANGED, Known, choose, why_not
from app.repo_config.schema import BacklogQuery

NOW = datetime(2026, 11, 28, 2, tzinfo=UTC)
TRACE = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nKeyError: 1'
ISSUE = ListedIssue(
    number=7,
    title="Total is wrong",
    body="See the title.",
    author="rita",
    labels=("bug",),
    assigned=False,
    locked=False,
    is_pull=False,
    created_at=NOW - timedelta(days=30),
    updated_at=NOW - timedelta(days=20),
)


@pytest.mark.parametrize(
    ("change", "query", "known", "why"),
    [
        ({}, {}, {}, ""),
        ({"locked": True}, {}, {}, "locked"),
        ({}, {}, {"own_reports": {7}}, "reports of nights"),
        ({}, {}, {"with_runs": {7}}, "had a run already"),
        ({}, {}, {"looked_at": {7: ISSUE.updated_at}}, UNCHANGED),
        ({}, {}, {"looked_at": {7: ISSUE.updated_at - timedelta(seconds=1)}}, ""),
        ({}, {"labels": ("Bug",)}, {}, ""),
        ({}, {"labels": ("crash",)}, {}, "without one of the labels"),
        ({}, {"without_labels": ("BUG",)}, {}, "with a label that is left out"),
        ({}, {"older_than_days": 31}, {}, "too new"),
        ({"assigned": True}, {}, {}, "assigned to somebody"),
        ({"assigned": True}, {"unassigned": False}, {}, ""),
        ({}, {}, {"with_pull_request": {7}}, "named by an open pull request"),
        ({}, {"without_pull_request": False}, {"with_pull_request": {7}}, ""),
        ({}, {"with_traceback": True}, {}, "without a stack trace"),
        ({"body": TRACE}, {"with_traceback": True}, {}, ""),
    ],
)
def test_why_an_issue_is_passed_over(
    change: dict[str, object], query: dict[str, object], known: dict[str, object], why: str
) -> None:
    issue = replace(ISSUE, **change)  # type: ignore[arg-type]
    found = why_not(issue, BacklogQuery(**query), Known(**known), NOW)  # type: ignore[arg-type]
    assert found == why


def test_new_ones_first_then_those_with_a_trace_then_the_oldest() -> None:
    def one(number: int, body: str = "", days: int = 9) -> ListedIssue:
        created = NOW - timedelta(days=days)
        return replace(ISSUE, number=number, body=body, created_at=created, updated_at=created)

    looked_at = {1: NOW - timedelta(days=99)}
    issues = [one(1, TRACE), one(2), one(3, days=20), one(4, TRACE), replace(one(5), is_pull=True)]
    chosen = choose(issues, BacklogQuery(), Known(looked_at=looked_at), 3, NOW)
    assert [issue.number for issue in chosen.picked] == [4, 3, 2]
    assert [(each.why, each.numbers) for each in chosen.passed_over] == [
        ("left for another night", (1,))
    ]
