"""Settings for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings.schema import Settings


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", database_url=url)
