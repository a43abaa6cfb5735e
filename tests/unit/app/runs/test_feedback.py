"""What counts as feedback, how the next attempt reads it, and how it is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.admission.authorization import event_ignored_because, least_role, repository_opts_out
from app.github.records import ReviewComment
from app.github.webhook_events import (
    Assigned,
    CheckFailed,
    Commented,
    PullEnded,
    Pushed,
    Rerun,
    Reviewed,
)
from app.repo_config.effective import EffectiveConfig, effective_config
from app.repo_config.schema import Permissions, RepoConfig, Triggers
from app.runs.feedback import feedback_to_app, item_from_comment, unhandled_comments
from app.runs.replies import answer_text, answers, page_comment
from app.settings.schema import Settings
from tests.support.github.payloads import SOURCE, comment
from tests.support.runs.stored import trigger

AT = datetime(2026, 1, 1, tzinfo=UTC)


def review_comment(**change: Any) -> ReviewComment:
    usual: dict[str, Any] = {
        "kind": "line",
        "id": 5,
        "author": "ann",
        "body": "Rename it.",
        "created_at": AT,
        "thread": 4,
        "path": "a.py",
        "line": 3,
        "hunk": "@@ -1 +1 @@\n+x = 1",
    }
    return ReviewComment(**usual | change)


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"kind": "review"}, True),
        ({"body": " \n"}, False),
        ({"author": "patchwright[bot]"}, False),
        ({"author": "ci[bot]"}, False),
        ({"id": 6}, False),
        ({"kind": "page", "body": "I agree with ann."}, False),
        ({"kind": "page", "body": "@patchwright do that"}, True),
        ({"kind": "page", "body": "/patchwright hint do that"}, True),
        ({"kind": "page", "body": "/patchwright stop"}, False),
        ({"kind": "page", "body": "> @patchwright do that"}, False),
    ],
)
def test_which_comments_are_feedback(change: dict[str, Any], counts: bool) -> None:
    own, taken = "patchwright[bot]", {"line:6"}
    found = unhandled_comments(
        [review_comment(**change)], own_login=own, name="patchwright", handled=taken
    )
    assert bool(found) == counts


def test_a_line_comment_names_its_file_and_line() -> None:
    item = item_from_comment(review_comment(), "patchwright")
    assert item.text == "ann commented on a.py, line 3:\n@@ -1 +1 @@\n+x = 1\n\nRename it."
    assert (item.key, item.thread) == ("line:5", 4)
    assert (
        "a line that no longer exists"
        in item_from_comment(review_comment(line=0), "patchwright").text
    )
    page = item_from_comment(
        review_comment(kind="page", body="@patchwright do that"), "patchwright"
    )
    assert page.text.endswith("do that")
    assert feedback_to_app("hello", "patchwright") == ""
    assert feedback_to_app("/patchwright fix budget=5", "patchwright") == ""
    assert feedback_to_app("/patchwright fix budget=5 round it", "patchwright") == "round it"
    assert feedback_to_app("/patchwright hint budget=5 is odd", "patchwright") == "budget=5 is odd"


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ("[1] one\n[2] two", ("one", "two")),
        ("Both done.", ("Both done.", "Both done.")),
        ("Intro\n- [2] two\n  more\n[1] one", ("one", "two\n  more")),
        ("[1] one", ("one", "[1] one")),
        ("[3] three\n[0] none", ("[3] three\n[0] none",) * 2),
        ("", ("", "")),
    ],
)
def test_each_item_finds_its_answer(summary: str, said: tuple[str, ...]) -> None:
    assert answers(summary, 2) == said


def test_answers_say_what_was_done_and_are_safe() -> None:
    done = answer_text("@ann <b>see</b> #3", commit="abc123", changed=True, failed="")
    assert done.startswith("Done in abc123.")
    assert "@ann" not in done
    assert "<b>" not in done
    assert "#3" not in done
    same = answer_text("It is a constant.", commit="abc123", changed=False, failed="")
    assert same == "No change was made for this. It is a constant."
    not_done = answer_text("", commit="", changed=False, failed="No patch was proven.")
    assert not_done == "Not done. No patch was proven."
    item = item_from_comment(review_comment(kind="review", body="<img src=x> @ann"), "patchwright")
    page = page_comment([(item, done)], proof="Proven.", run_url="https://run")
    assert "<img" not in page
    assert "@ann" not in page
    assert page.endswith("[Every step of this run](https://run)")


def make_config(**config: Any) -> EffectiveConfig:
    return effective_config(Settings(), RepoConfig(**config))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (comment(), None),
        (comment("hello"), "not addressed to us"),
        (comment().model_copy(update={"sender_is_bot": True}), "from a bot"),
        (comment().model_copy(update={"archived": True}), "the repository is archived"),
        (
            Assigned(**SOURCE, issue_number=1, assignee="Patchwright[bot]"),
            "someone else was assigned",
        ),
        (Assigned(**SOURCE, issue_number=1, assignee="ann"), "someone else was assigned"),
        (Assigned(**SOURCE, issue_number=1, assignee="Acme-Bot"), None),
        (
            CheckFailed(
                **SOURCE | {"sender_is_bot": True},
                check_id=1, app_id=3, name="t", head_sha="a" * 40, head_branch="main",
            ),
            None,
        ),
        (
            CheckFailed(
                **SOURCE, check_id=1, app_id=7, name="t", head_sha="a" * 40, head_branch="main"
            ),
            "a check of our own",
        ),
        (Rerun(**SOURCE, app_id=7, external_id="x", head_sha="a" * 40), None),
        (Rerun(**SOURCE, app_id=3, external_id="x", head_sha="a" * 40), "someone else's check"),
        (Pushed(**SOURCE | {"sender_is_bot": True}, branch="main", after="a" * 40), None),
        # A merge queue, or whoever merges by itself once all checks are well.
        (PullEnded(**SOURCE | {"sender_is_bot": True}, pull_number=9, merged=True), None),
        (Reviewed(**SOURCE | {"sender_is_bot": True}, pull_number=9), "from a bot"),
    ],
)  # fmt: skip
def test_what_is_dropped_at_the_door(event: Commented, reason: str | None) -> None:
    assert (
        event_ignored_because(event, name="patchwright", app_id=7, machine_user="acme-bot")
        == reason
    )


def test_a_repository_decides_what_starts_runs() -> None:
    plain = make_config()
    assert repository_opts_out(trigger(), plain) is None
    assert "turn the App off" in (repository_opts_out(trigger(), make_config(enabled=False)) or "")
    off = make_config(triggers=Triggers(label=False))
    assert "turn off runs by label" in (repository_opts_out(trigger(), off) or "")
    assert "another label, bug" in (repository_opts_out(trigger(), make_config(label="bug")) or "")
    failed = trigger().model_copy(update={"by": "failed_check"})
    assert "failed check" in (repository_opts_out(failed, plain) or "")
    wide = make_config(permissions=Permissions(label="write", command="admin"))
    assert [least_role(by, wide) for by in ("label", "assignment", "command", "mention")] == [
        "write",
        "write",
        "admin",
        "admin",
    ]
    assert least_role("failed_check", wide) is None
