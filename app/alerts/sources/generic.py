"""An alert of any other service, in the form that `docs/alerts.md` describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.alerts.reading import items, labels, moment, number, parse, table, text
from app.alerts.records import Alert, AlertFrame, BadAlert
from app.alerts.sources.prometheus import frames_of_text
from app.alerts.sources.sentry import MOST_FRAMES


def read(body: bytes) -> tuple[Alert, ...]:
    """The alert of a delivery. Raises `BadAlert`."""
    payload = parse(body)
    fingerprint, title = text(payload.get("fingerprint"), 250), text(payload.get("title"), 300)
    if not fingerprint or not title:
        raise BadAlert("an alert needs a fingerprint and a title")
    status = text(payload.get("status"), 20) or "firing"
    if status not in ("firing", "resolved", "regressed"):
        raise BadAlert("the status is none of firing, resolved and regressed")
    told = [_frame(table(each)) for each in items(payload.get("frames"), MOST_FRAMES)]
    return (
        Alert(
            fingerprint=fingerprint,
            title=title,
            message=text(payload.get("message")),
            level=text(payload.get("level"), 20),
            culprit=text(payload.get("culprit"), 300),
            project=text(payload.get("project"), 100),
            environment=text(payload.get("environment"), 100),
            release=text(payload.get("release"), 250),
            count=number(payload.get("count")),
            first_seen=moment(payload.get("first_seen")),
            last_seen=moment(payload.get("last_seen")),
            url=text(payload.get("url"), 1000),
            is_over=status == "resolved",
            is_regression=status == "regressed",
            frames=tuple(told) or frames_of_text(text(payload.get("stacktrace"), 100_000)),
            labels=tuple(labels(payload.get("labels")).items()),
        ),
    )


def _frame(frame: Mapping[str, Any]) -> AlertFrame:
    own = frame.get("in_app")
    return AlertFrame(
        path=text(frame.get("path"), 400),
        function=text(frame.get("function"), 200),
        line=number(frame.get("line")),
        column=number(frame.get("column")),
        code=text(frame.get("code"), 1000),
        in_app=own if isinstance(own, bool) else None,
    )
