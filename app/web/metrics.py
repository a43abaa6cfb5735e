"""A process's metrics for Prometheus: its own work, and the installation's state.

Totals only, no names of repositories or people.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from agent.journal.events import now
from app.outcomes.rows import Outcomes
from app.queue import worker_registry
from app.settings.schema import Settings
from app.spending.account import spent_in_month
from app.spending.budgets import MILLION
from app.storage import controls
from app.storage.store import SqlStore
from app.storage.tables import asks, runs, to_micros
from app.telemetry.metrics import WORK

_RESULTS = ("new", "noted", "attached", "duplicate", "ignored", "refused 400", "refused 401")


class Metrics:
    """The service's own metrics, in a separate registry."""

    def __init__(self, store: SqlStore, settings: Settings) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "patchwright_deliveries",
            "Deliveries by outcome.",
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
        self._registry.register(InstallationCollector(store, settings))

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry) + generate_latest(WORK)


VERSION = version("patchwright")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database says at a moment."""

    runs: Mapping[tuple[str, str], int]
    """Runs per status and outcome."""
    pulls: Mapping[str, int]
    """Runs with a pull request, by what became of it."""
    outcomes: Mapping[str, int]
    """Pull requests that ended, by what became of them."""
    oldest_queued_s: float
    """How long the run waits that has waited longest; 0: none waits."""
    not_enqueued: Mapping[str, int]
    """Runs and asks that the durable engine does not know yet."""
    workers: Mapping[str, int]
    """Workers per state."""
    silent_s: float
    """Longest silence of a worker that did not leave."""
    tokens_today: int
    spent: float
    """In this month, in the currency of the settings."""
    bytes: int
    """Size of the database."""


def read_figures(store: SqlStore, currency: str = "") -> Figures:
    """The figures now. Blocks; raises what the database raises."""
    # Counted in the index `runs_by_state`: the table itself is large.
    pulled = sa.select(runs.c.closed, sa.func.count()).where(runs.c.pull_number > 0)
    queued = sa.and_(runs.c.live_key.is_not(None), runs.c.status == "queued")
    with store.database.execution_options(read_only=True).connect() as connection:
        pulls = {"open": 0, "merged": 0, "closed": 0}
        for closed, number in connection.execute(pulled.group_by(runs.c.closed)):
            pulls[closed or "open"] = number
        oldest = connection.execute(
            sa.select(sa.func.min(runs.c.updated_at)).where(queued)
        ).scalar_one()
        not_enqueued = {
            "runs": _count(connection, runs, runs.c.enqueued_at.is_(None), queued),
            "asks": _count(connection, asks, asks.c.enqueued_at.is_(None)),
        }
        size = _size(connection)
    workers = worker_registry.list_workers(store.database)
    return Figures(
        runs=store.count_runs(),
        pulls=pulls,
        outcomes={
            **dict.fromkeys(("untouched", "edited", "merged", "closed", "reverted"), 0),
            **Outcomes(store.database).counts(),
        },
        oldest_queued_s=max(0.0, (to_micros(now()) - oldest) / 1e6) if oldest else 0.0,
        not_enqueued=not_enqueued,
        workers={s: sum(w.state == s for w in workers) for s in ("active", "draining")},
        silent_s=max((w.silent_s for w in workers), default=0.0),
        tokens_today=controls.used_today(store.database),
        spent=sum(one.amount for one in spent_in_month(store.database, currency, now())) / MILLION
        if currency
        else 0.0,
        bytes=size,
    )


class InstallationCollector:
    """The collector: the installation's figures, or only that the database is unavailable."""

    def __init__(self, store: SqlStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def collect(self) -> Iterable[Metric]:
        """All figures; see `prometheus_client.registry.Collector`."""
        yield _gauge("build_info", "This process.", {(VERSION,): 1}, "version")
        yield from self._limits()
        try:
            figures = read_figures(self._store, self._settings.currency)
        except SQLAlchemyError:
            yield _gauge("database_up", "Whether the database answers.", {(): 0})
            return
        yield _gauge("database_up", "Whether the database answers.", {(): 1})
        yield from _families(figures)
        if currency := self._settings.currency:
            text = "Money spent since the month began (UTC)."
            yield _gauge("spending_month", text, {(currency,): figures.spent}, "currency")

    def _limits(self) -> Iterator[Metric]:
        settings = self._settings
        yield _gauge("concurrency_limit", "Limit on concurrent runs.", {(): settings.concurrency})
        yield _gauge("tokens_limit", "Tokens per day; 0: no limit.", {(): settings.tokens_per_day})
        if currency := settings.currency:
            most: dict[tuple[str, ...], float] = {(currency,): settings.cost_per_month}
            yield _gauge("spending_limit", "Money per month; 0: no limit.", most, "currency")
        try:
            free = shutil.disk_usage(settings.state_dir).free
        except OSError:  # not made yet
            return
        yield _gauge("state_free_bytes", "Free space on the state folder's disk.", {(): free})


def _families(figures: Figures) -> Iterator[Metric]:
    states: dict[tuple[str, ...], float] = {
        ("queued", ""): 0,
        ("running", ""): 0,
        ("waiting", ""): 0,
    }
    states |= {state: number for state, number in figures.runs.items()}  # noqa: C416
    yield _gauge("runs", "Runs by status and outcome.", states, "status", "outcome")
    yield _gauge("pulls", "Pull requests.", _one(figures.pulls), "state")
    text = "Ended pull requests by what became of them; merged: with edits or without."
    yield _gauge("pull_outcomes", text, _one(figures.outcomes), "outcome")
    waiting = sum(n for (status, _), n in figures.runs.items() if status == "queued")
    yield _gauge("queue_runs", "Waiting runs.", {(): waiting})
    yield _gauge("queue_oldest_seconds", "Longest wait among them.", {(): figures.oldest_queued_s})
    yield _gauge(
        "outbox", "Outbox entries not yet enqueued.", _one(figures.not_enqueued), "kind"
    )  # fmt: skip
    yield _gauge("workers", "Live workers.", _one(figures.workers), "state")
    yield _gauge("worker_silent_seconds", "Longest silence of a worker.", {(): figures.silent_s})
    yield _gauge("tokens_today", "Tokens used since 0:00 UTC.", {(): figures.tokens_today})
    yield _gauge("database_bytes", "Size of the database.", {(): figures.bytes})


def _gauge(
    name: str, text: str, values: Mapping[tuple[str, ...], float], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"patchwright_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _one(values: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): number for name, number in values.items()}


def _count(connection: sa.Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(*conditions)
    return int(connection.execute(query).scalar_one())


def _size(connection: sa.Connection) -> int:
    if connection.dialect.name == "postgresql":
        query = "SELECT pg_database_size(current_database())"
        return int(connection.exec_driver_sql(query).scalar_one())
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
