"""Asks and tells Sentry or GlitchTip by their web API: an issue's latest event, and its fix.

Facts: docs.sentry.io/api/events/ ("Retrieve an Issue Event", "Update an Issue": `status`,
`statusDetails.inNextRelease`); GlitchTip has the same under `/api/0/issues/` (its
`apps/issue_events/api/`, where a change takes `statusDetails`, too, and `status` only as
`resolved`). The address is the operator's own and may be internal; no redirect is followed, the
token goes nowhere else, and neither is ever part of a message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from app.alerts.config import Source
from app.alerts.records import Alert
from app.alerts.sources.sentry import of_event
from app.github.errors import ForgeAway, ForgeDenied

TIMEOUT_S = 20.0
MOST_BYTES = 5 * 1024**2
AWAY = (408, 429, 500, 502, 503, 504)


class SourceAway(ForgeAway):
    """The source cannot be reached or failed by itself; try again later."""


class SourceRefused(ForgeDenied):
    """The source does not do what it is asked."""


async def with_event(source: Source, alert: Alert) -> Alert:
    """The alert with what its issue's latest event says of release and stack trace.

    Raises `SourceAway`, `SourceRefused` and `SettingsError`.
    """
    event = await _call(source, "GET", _issue(source, alert) + "events/latest/")
    found = of_event(event)
    return alert.model_copy(
        update={
            "frames": found.frames or alert.frames,
            "release": found.release or alert.release,
            "environment": alert.environment or found.environment,
            "message": alert.message or found.message,
            "level": alert.level or found.level,
        }
    )


async def resolve_in_next_release(source: Source, alert: Alert) -> str:
    """Mark the alert's issue as resolved in the next release, unless it is resolved; what was done.

    Raises `SourceAway`, `SourceRefused` and `SettingsError`.
    """
    path = _issue(source, alert)
    # It may be done already: again, it would be for the release after the next.
    if (await _call(source, "GET", path)).get("status") == "resolved":
        return "it was resolved already"
    wanted = {"status": "resolved", "statusDetails": {"inNextRelease": True}}
    await _call(source, "PUT", path, wanted)
    return "it is resolved in the next release"


def can_be_asked(source: Source, alert: Alert) -> bool:
    """Whether the source has an API, by the operator's file, and the alert an issue there."""
    named = source.kind == "glitchtip" or source.organisation or alert.organisation
    return bool(source.api_url and alert.source_issue and named)


def _issue(source: Source, alert: Alert) -> str:
    issue = f"issues/{_part(alert.source_issue)}/"
    if source.kind == "glitchtip":
        return issue
    return f"organizations/{_part(source.organisation or alert.organisation)}/{issue}"


def _part(name: str) -> str:
    """One part of a path. Raises `SourceRefused` for one that would lead elsewhere."""
    if not name.strip("."):
        raise SourceRefused(f"{name!r} is no organisation and no issue of the source.")
    return quote(name, safe="")


async def _call(
    source: Source, method: str, path: str, body: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {source.api_token}", "Accept": "application/json"}
    url = f"{source.api_url}/api/0/{path}"
    data = b""
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client,
            client.stream(method, url, headers=headers, json=body) as answer,
        ):
            async for piece in answer.aiter_bytes():
                data += piece
                if len(data) > MOST_BYTES:
                    raise SourceRefused(f"{source.name} answers with too much.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Not its text: it may have the address.
        why = type(error).__name__
        raise SourceAway(f"{source.name} cannot be reached ({why}).") from None
    if answer.status_code in AWAY:
        raise SourceAway(f"{source.name} answered {answer.status_code}.")
    if answer.status_code // 100 != 2:
        raise SourceRefused(
            f"{source.name} answered {answer.status_code} to {method} {path}. Correct its "
            "api_url and its token, which needs event:read and event:write."
        )
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise SourceRefused(f"{source.name} answers with something that is not JSON.") from None
    if not isinstance(found, Mapping):
        raise SourceRefused(f"{source.name} answers with something unexpected.")
    return found
