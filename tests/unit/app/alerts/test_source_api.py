"""What is asked of a source's own API, and what is not asked at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.alerts import source_api
from app.alerts.config import Source
from app.alerts.records import Alert
from app.alerts.source_api import SourceRefused

SENTRY = Source(
    name="sentry",
    kind="sentry",
    secret_file=Path("secret"),
    api_url="https://sentry.invalid",
    api_token_file=Path("token"),
)


@pytest.mark.parametrize("names", [("..", "7"), ("acme", ".."), (".", "7")])
async def test_a_name_that_leads_elsewhere_is_not_asked_for(names: tuple[str, str]) -> None:
    organisation, issue = names
    alert = Alert(fingerprint="f", title="Boom", organisation=organisation, source_issue=issue)
    with pytest.raises(SourceRefused, match="is no organisation and no issue"):
        await source_api.resolve_in_next_release(SENTRY, alert)
    with pytest.raises(SourceRefused, match="is no organisation and no issue"):
        await source_api.with_event(SENTRY, alert)
