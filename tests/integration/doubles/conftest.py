"""The stand-in under clients that are not ours."""

from __future__ import annotations

import pytest

from tests.doubles.github.description.unvalidated import NoValidation


@pytest.fixture(autouse=True)
def plain_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyGithub by itself names no version of the API; the App's own calls must."""
    monkeypatch.setattr(NoValidation, "unpinned", lambda *_: None)
