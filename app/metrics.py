"""Figures for Prometheus: totals only, no names of repositories or people."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric


class _Runs:
    """Runs per status and outcome, counted when asked."""

    def __init__(self, count: Callable[[], dict[tuple[str, str], int]]) -> None:
        self._count = count

    def collect(self) -> Iterable[Metric]:
        """One gauge, read from the database."""
        family = GaugeMetricFamily(
            "patchwright_runs", "Runs by status and outcome.", labels=("status", "outcome")
        )
        for (status, outcome), number in self._count().items():
            family.add_metric((status, outcome), number)
        yield family


class Metrics:
    """The service's own figures, in a registry of their own."""

    def __init__(self, count_runs: Callable[[], dict[tuple[str, str], int]]) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "patchwright_deliveries",
            "Deliveries by what became of them.",
            labelnames=("result",),
            registry=self._registry,
        )
        self.acknowledged = Histogram(
            "patchwright_acknowledge_seconds",
            "Time from a delivery's first byte to its answer.",
            registry=self._registry,
        )
        self._registry.register(_Runs(count_runs))

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
