"""Runs in a store: triggers, and stores on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.github.webhooks import Trigger
from app.storage.store import SqlStore


def trigger(number: int = 7, repository: str = "octo/calc", title: str = "It breaks") -> Trigger:
    return Trigger(
        installation_id=11,
        repository=repository,
        repository_id=5,
        default_branch="main",
        archived=False,
        issue_number=number,
        issue_title=title,
        issue_body="body",
        issue_author="reporter",
        issue_open=True,
        is_pull_request=False,
        label="patchwright",
        sender="maintainer",
        sender_is_bot=False,
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'patchwright.db'}"


@pytest.fixture
def store(url: str) -> SqlStore:
    return SqlStore(url)


def start(store: SqlStore, delivery: str = "d1", number: int = 7) -> str:
    return store.accept(delivery, "issues", trigger(number), model="offline").run_id
