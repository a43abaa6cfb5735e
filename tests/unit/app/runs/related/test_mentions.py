"""What texts of others say about an issue."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from app.github.records import Pull
from app.runs.related.mentions import (
    branch_is_about,
    closed_issues,
    mentions,
    says_to_close,
    versions,
)

REPO = "acme/shop"


def pull(body: str) -> Pull:
    return Pull(9, "u", True, False, False, "b", "s", "A change", body)


@pytest.mark.parametrize(
    "text",
    [
        "see #7.",
        "(#7)",
        "Fixes: #7",
        "acme/shop#7 again",
        "ACME/Shop#7",
        "https://github.com/acme/shop/issues/7#issuecomment-1",
    ],
)
def test_an_issue_is_mentioned(text: str) -> None:
    assert mentions(text, 7, REPO)


@pytest.mark.parametrize(
    "text",
    [
        "#77",
        "#7a",
        "other/shop#7",
        "a#7",
        "&#7;",
        "color:/#7",
        "https://github.com/other/shop/issues/7",
        "https://github.com/acme/shop/pull/7",
        "7",
    ],
)
def test_an_issue_is_not_mentioned(text: str) -> None:
    assert not mentions(text, 7, REPO)


def test_all_issues_that_a_text_closes_are_known() -> None:
    text = "Fixes #7, resolves: acme/shop#8 and closes other/shop#9. Prefixes #10, see #11"
    assert closed_issues(text, REPO) == [7, 8]
    assert closed_issues(text) == [7]


@pytest.mark.parametrize(
    "body",
    [
        "Fixes #7",
        "It fixes nothing else.\r\n\r\nCloses: acme/shop#7",
        "- [x] fix #7",
        "Not only fixes #7, but more.",
        "It is not slow. Fixes #7",
        "Fixes #1, fixes #2, fixes #3, fixes #4, fixes #7",
        "> When will you fix #8?\n\nThis resolves #7.",
    ],
)
def test_a_pull_request_says_to_close_an_issue(body: str) -> None:
    assert says_to_close(pull(body), 7, REPO)
    assert says_to_close(replace(pull(""), title=body), 7, REPO)


@pytest.mark.parametrize(
    "body",
    [
        "<!-- Link the issue, for example: Fixes #7 -->",
        "```\nFixes #7\n```",
        "Write `fixes #7`.",
        "> Fixes #7\n\nNo.",
        "    Fixes #7",
        "This does not fix #7",
        "It doesn't really fix #7",
        "It doesn\u2019t fix #7",
        "It never fixed #7",
        "Works without closing what closes #7",
        " ".join(f"fixes #{number}" for number in (1, 2, 3, 4, 5, 7)),
    ],
)
def test_a_pull_request_does_not_say_to_close_an_issue(body: str) -> None:
    assert not says_to_close(pull(body), 7, REPO)


@pytest.mark.parametrize(
    "name", ["45", "issue-45", "fix/45-total", "ann/fix-45", "bug_45", "gh-45"]
)
def test_a_branch_is_named_after_an_issue(name: str) -> None:
    assert branch_is_about(name, 45)


@pytest.mark.parametrize("name", ["release-1.45", "v2-145", "fix-450", "45th", "main", "py3.45"])
def test_a_branch_is_not_named_after_an_issue(name: str) -> None:
    assert not branch_is_about(name, 45)


def test_versions_are_taken_from_words_of_their_own() -> None:
    text = "Since v2.3.1 (2.2 was fine), on Python 3.11, not 1.2.3.4.5, a1.2 or 10.0.0-rc"
    assert versions(text) == ["2.3.1", "2.2", "3.11"]


def test_hostile_texts_take_time_in_proportion_to_their_length() -> None:
    begun = time.monotonic()
    for part in ("a", "a/", "/", "fix ", "fix" + " " * 99, "a.", "1.", "a/b#1"):
        text = part * (200_000 // len(part))
        mentions(text, 7, REPO)
        closed_issues(text, REPO)
        versions(text)
    assert time.monotonic() - begun < 10
