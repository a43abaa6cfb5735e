"""Which reader a delivery goes to."""

from __future__ import annotations

from app.alerts.records import Alert
from app.alerts.sources import generic, glitchtip, plugin, prometheus, sentry


def read(kind: str, resource: str, body: bytes) -> tuple[Alert, ...]:
    """The alerts of a verified delivery. Raises `BadAlert`."""
    match kind:
        case "sentry":
            return sentry.read(resource, body)
        case "glitchtip":
            return glitchtip.read(body)
        case "alertmanager" | "grafana":
            return prometheus.read(body)
        case "generic":
            return generic.read(body)
        case _:
            return plugin.read(kind, body)
