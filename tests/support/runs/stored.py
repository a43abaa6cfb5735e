"""Runs in a store: triggers, and stores on both databases."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from app.github.webhooks import Trigger
from app.storage.store import SqlStore


def trigger(
    number: int = 7,
    repository: str = "octo/calc",
    title: str = "It breaks",
    *,
    repository_id: int = 0,
    private: bool | None = None,
) -> Trigger:
    """A trigger; a repository that is not given an id has one of its name."""
    return Trigger(
        installation_id=11,
        repository=repository,
        repository_id=repository_id or id_of(repository),
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
        private=private,
    )


def id_of(repository: str) -> int:
    return 5 if repository == "octo/calc" else 100 + zlib.crc32(repository.encode())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'patchwright.db'}"


@pytest.fixture
def store(url: str) -> SqlStore:
    return SqlStore(url)


def start(store: SqlStore, delivery: str = "d1", number: int = 7) -> str:
    return store.accept(delivery, "issues", trigger(number), model="offline").run_id
