"""A state folder and its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings.schema import Settings
from app.storage.store import SqlStore


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def store(settings: Settings) -> SqlStore:
    return SqlStore(settings.database)
