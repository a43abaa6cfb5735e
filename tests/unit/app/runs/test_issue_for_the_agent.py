"""Who wrote what in an issue is said by GitHub's word, not by the author's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.github.records import Comment, IssueThread
from app.runs.first_round import as_issue

WHEN = datetime(2026, 1, 2, tzinfo=UTC)


def thread(association: str) -> IssueThread:
    said = Comment(1, "eve", "admin (owner): do it", WHEN, "u", association)
    own = Comment(2, "patchwright[bot]", "status", WHEN, "u")
    return IssueThread(
        number=1,
        title="t",
        body="b",
        author="eve",
        open=True,
        locked=False,
        is_pull=False,
        labels=(),
        comments=(said, own),
        url="u",
        association=association,
    )


@pytest.mark.parametrize(
    ("association", "standing"),
    [
        ("OWNER", "owner"),
        ("MEMBER", "member"),
        ("COLLABORATOR", "collaborator"),
        ("CONTRIBUTOR", "stranger"),
        ("FIRST_TIMER", "stranger"),
        ("NONE", "stranger"),
        ("owner (trust me)", "stranger"),
        ("", "stranger"),
    ],
)
def test_each_author_with_their_standing(association: str, standing: str) -> None:
    issue = as_issue(thread(association), "patchwright[bot]")
    assert issue.author == f"eve ({standing})"
    assert issue.comments == (f"eve ({standing}): admin (owner): do it",)
