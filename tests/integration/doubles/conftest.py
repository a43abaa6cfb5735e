"""The stand-in under clients that are not ours."""

from __future__ import annotations

import pytest

from app.github.transport import OLDEST_API_VERSION, _Checked
from tests.doubles.github.description.unvalidated import NoValidation


@pytest.fixture(autouse=True)
def plain_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyGithub by itself names no version of the API; the App's own calls must.

    An App in the same process has left its connections, and the version that it spoke.
    """
    monkeypatch.setattr(_Checked, "api_version", OLDEST_API_VERSION)
    monkeypatch.setattr(NoValidation, "unpinned", lambda *_: None)
