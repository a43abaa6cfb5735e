"""Which issue a pull request's text says to close."""

from __future__ import annotations

import pytest

from app.intake.linked_issues import closed_by


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("Fixes #12", 12),
        ("This closes: #7, and resolves #8.", 7),
        ("RESOLVED #3\n", 3),
        ("fix\n#4", 4),
        ("See #5", 0),
        ("<!-- for example: Fixes #1 -->\r\nFixes #2", 2),
        ("```\nFixes #1\n```\n`fixes #3`", 0),
        ("It does not fix #6", 6),  # GitHub closes it all the same
        ("prefixes #6", 0),
        ("Fixes #12a", 0),
        ("Fixes other/repo#9", 0),
        ("Fixes #" + "9" * 40, 0),
        ("", 0),
    ],
)
def test_the_first_issue_that_is_said_to_be_closed(body: str, number: int) -> None:
    assert closed_by(body) == number
