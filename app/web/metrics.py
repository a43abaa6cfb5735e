"""What a process answers to Prometheus: its own work, and the installation's state.

Totals only, no names of repositories or people.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from app.metrics_state import State
from app.settings.schema import Settings
from app.storage.store import SqlStore
from app.telemetry.metrics import WORK

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_RESULTS = ("new", "noted", "attached", "duplicate", "ignored", "refused 400", "refused 401")


class Metrics:
    """The service's own figures, in a registry of their own."""

    def __init__(self, store: SqlStore, settings: Settings) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "patchwright_deliveries",
            "Deliveries by what became of them.",
            labelnames=("result",),
            registry=self._registry,
        )
        for result in _RESULTS:
            self.deliveries.labels(result)
        self.acknowledged = Histogram(
            "patchwright_acknowledge_seconds",
            "Time from a delivery's first byte to its answer.",
            registry=self._registry,
        )
        self._registry.register(State(store, settings))

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry) + generate_latest(WORK)


def of_worker() -> bytes:
    """The figures of a worker's process; the service tells of the installation."""
    return generate_latest(WORK)
