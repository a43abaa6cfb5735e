"""Who may start a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.admission.authorization import is_label, refused_at_delivery, refused_at_start
from app.github.records import IssueThread, Permission, Repository
from tests.support.runs.stored import trigger


def test_the_label_starts_a_run() -> None:
    assert refused_at_delivery(trigger()) is None
    assert is_label("Patchwright", "patchwright")
    assert not is_label("bug", "patchwright")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sender_is_bot": True}, "bot"),
        ({"is_pull_request": True}, "pull request"),
        ({"issue_open": False}, "closed"),
        ({"archived": True}, "archived"),
    ],
)
def test_what_starts_none(change: dict[str, Any], words: str) -> None:
    reason = refused_at_delivery(trigger().model_copy(update=change))
    assert reason is not None
    assert words in reason


THREAD = IssueThread(
    number=7,
    title="t",
    body="b",
    author="a",
    open=True,
    locked=False,
    is_pull=False,
    labels=(),
    comments=(),
    url="u",
)
REPOSITORY = Repository("octo/calc", "main", True, False, "clone", "web")


@pytest.mark.parametrize(
    ("permission", "allowed"),
    [
        (Permission("none", "none"), False),
        (Permission("read", "read"), False),
        (Permission("read", "triage"), True),
        (Permission("write", "maintain"), True),
        (Permission("admin", "admin"), True),
        (Permission("read", "a-role-of-ours"), False),
        (Permission("write", "a-role-of-ours"), True),
    ],
)
def test_triage_is_the_least(permission: Permission, allowed: bool) -> None:
    reason = refused_at_start(permission, THREAD, REPOSITORY, minimum="triage")
    assert (reason is None) == allowed


def test_what_changed_since_the_delivery_counts() -> None:
    admin = Permission("admin", "admin")
    assert refused_at_start(admin, THREAD, REPOSITORY, minimum="admin") is None
    for thread, repository, word in (
        (replace(THREAD, open=False), REPOSITORY, "closed"),
        (replace(THREAD, is_pull=True), REPOSITORY, "pull request"),
        (THREAD, replace(REPOSITORY, archived=True), "archived"),
    ):
        reason = refused_at_start(admin, thread, repository, minimum="triage")
        assert reason is not None
        assert word in reason
