"""What GlitchTip's "General webhook" sends: a message in the manner of Slack's.

Facts: `apps/alerts/webhooks.py` in glitchtip-backend. It names the issue by its page only and has
no stack trace; the trace is in GlitchTip's API, which is Sentry's. The message is not signed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.alerts.reading import items, parse, table, text
from app.alerts.records import Alert, BadAlert

_PAGE = re.compile(r"^https?://[^/\s]{1,250}(?:/[^/\s]{1,100})*?/([\w-]{1,100})/issues/(\d{1,18})")
MOST = 50


def read(body: bytes) -> tuple[Alert, ...]:
    """The alerts of a delivery, one for each issue. Raises `BadAlert`."""
    payload = parse(body)
    attachments = payload.get("attachments")
    if not isinstance(attachments, list):
        raise BadAlert("there are no attachments")
    return tuple(
        found for each in items(attachments, MOST) if (found := _of_attachment(table(each)))
    )


def _of_attachment(attachment: Mapping[str, Any]) -> Alert | None:
    """An issue; None for a monitor's, which tells whether a server answers."""
    url = text(attachment.get("title_link"), 1000)
    page = _PAGE.match(url)
    if page is None:
        return None
    fields = {
        text(table(each).get("title"), 100): text(table(each).get("value"), 300)
        for each in items(attachment.get("fields"), 50)
    }
    return Alert(
        fingerprint=f"issue {page[2]}",
        source_issue=page[2],
        organisation=page[1],
        title=text(attachment.get("title"), 300) or "An error",
        culprit=text(attachment.get("text"), 300),
        project=fields.get("Project", ""),
        environment=fields.get("Environment", ""),
        release=fields.get("Release", ""),
        url=url,
        labels=tuple(sorted(fields.items())),
    )
