"""A process that executes runs: its name, its heartbeats, the engine, and an orderly shutdown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dbos import DBOS

from app.expiry.pull_requests import expiry_running
from app.intake.organisations import off_switches_watched
from app.intake.outcomes import outcomes_running
from app.notifications.outgoing import notifications_running
from app.queue import takeover, worker_registry
from app.runs import queue_notices
from app.runs.services import Services
from app.server.bootstrap import github_app
from app.server.nights import nights_running
from app.server.sweeps import remove_waiting
from app.server.workflow_engine import WorkflowEngine, running_engine
from app.telemetry import logs

_log = logs.get(__name__)


@contextmanager
def running_worker(services: Services, drained: Callable[[], None]) -> Iterator[WorkflowEngine]:
    """Execute runs during the block, and take over those of workers that died.

    `drained` is called, from another thread, when this worker is told to drain. At the end no turn
    begins any more and tool calls have a while to end; then the runs are left to their journals and
    other workers may have them at once. Raises `NameTaken`.
    """
    settings, database = services.settings, services.store.database
    up = threading.Event()

    def sweep(mark_dead: bool) -> None:
        if up.is_set():
            takeover.sweep(
                database, lambda: DBOS, settings.worker_dead_after_s, mark_dead=mark_dead
            )

    try:
        with worker_registry.hold_name(database, settings.executor):
            registration = worker_registry.register(database, settings.executor)
            with (
                worker_registry.heartbeats(
                    registration,
                    settings.worker_beat_s,
                    settings.worker_dead_after_s,
                    drained,
                    sweep,
                ),
                running_engine(services) as workflow_engine,
                queue_notices.queue_notices_running(services),
                notifications_running(settings, database),
                expiry_running(services),
                off_switches_watched(services),
                outcomes_running(services),
                nights_running(services, github_app(settings)),
            ):
                up.set()
                try:
                    yield workflow_engine
                finally:
                    up.clear()
                    if not workflow_engine.patience_s and not services.shutdown_gate.close(
                        settings.stop_patience_s
                    ):
                        _log.warning("running tool calls are cut off and will be repeated")
    finally:
        if settings.pool_size:
            asyncio.run(remove_waiting(settings))
