"""What Prometheus' Alertmanager sends (version 4 of its webhook), and Grafana, which has the same.

Facts: prometheus.io/docs/alerting/latest/configuration/#webhook_config, and
grafana.com/docs/grafana/latest/alerting/ → "Webhook notifier". A stack trace may stand in an
annotation; it is read as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.text.tracebacks import frames
from app.alerts.reading import items, labels, moment, parse, table, text
from app.alerts.records import Alert, AlertFrame, BadAlert

MOST = 100
RELEASE_LABELS = ("release", "version", "app_version", "app_kubernetes_io_version", "revision")
"""Labels and annotations that may name the release, the first that is there."""
PROJECT_LABELS = ("project", "service", "app", "job", "namespace")


def read(body: bytes) -> tuple[Alert, ...]:
    """The alerts of a delivery. Raises `BadAlert`."""
    payload = parse(body)
    listed = payload.get("alerts")
    if not isinstance(listed, list):
        raise BadAlert("there are no alerts")
    return tuple(_of_alert(table(each)) for each in items(listed, MOST))


def _of_alert(alert: Mapping[str, Any]) -> Alert:
    said, notes = labels(alert.get("labels")), labels(alert.get("annotations"))
    fingerprint = text(alert.get("fingerprint"), 64)
    if not fingerprint:
        # Alertmanager before 0.19 sends none; it is made of the labels there, too.
        fingerprint = ",".join(f"{name}={value}" for name, value in said.items())[:250]
    if not fingerprint:
        raise BadAlert("an alert has no labels")
    summary = notes.get("summary", "")
    long = "\n\n".join(value for name, value in notes.items() if value and name != "summary")
    name = said.get("alertname", "")
    return Alert(
        fingerprint=fingerprint,
        title=f"{name}: {summary}" if name and summary else name or summary or "An alert",
        message="\n\n".join(part for part in (summary, long) if part),
        level=said.get("severity", ""),
        project=_first(said, PROJECT_LABELS),
        environment=said.get("environment", "") or said.get("env", ""),
        release=_first(said, RELEASE_LABELS) or _first(notes, RELEASE_LABELS),
        first_seen=moment(alert.get("startsAt")),
        last_seen=moment(alert.get("endsAt")) if alert.get("status") == "resolved" else None,
        url=text(alert.get("generatorURL"), 1000),
        is_over=alert.get("status") == "resolved",
        frames=frames_of_text(long),
        labels=tuple(said.items()),
    )


def _first(found: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((found[name] for name in names if found.get(name)), "")


def frames_of_text(trace: str) -> tuple[AlertFrame, ...]:
    """The frames of a stack trace that is told as text, the innermost last."""
    found = frames(trace)
    # Python names the innermost frame last, the others first.
    inner_last = found if found and found[0].language == "python" else found[::-1]
    return tuple(
        AlertFrame(path=each.path, function=each.function, line=each.line) for each in inner_last
    )
