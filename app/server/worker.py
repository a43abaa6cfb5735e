"""`patchwright worker`: executes runs and receives no deliveries."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from types import FrameType

from app.queue import worker_registry
from app.runs.services import Services
from app.server import health
from app.server.bootstrap import build, require_app, require_executor, require_shared_database
from app.server.lifecycle import running_worker
from app.server.sweeps import SWEEP_EVERY_S, sweep_sandboxes
from app.server.workflow_engine import WorkflowEngine
from app.settings.loading import with_stored_app
from app.settings.schema import Settings
from app.storage import audit
from app.storage.locks import state_lock
from app.storage.store import SqlStore
from app.telemetry import logs, tracing
from sandbox.docker.engine import DockerEngine

OUTBOX_EVERY_S = 15.0

_log = logs.get(__name__)


class _ImmediateStop(BaseException):
    """A second signal: the process ends without waiting."""


def run_worker(settings: Settings) -> None:
    """Do runs until SIGTERM or SIGINT, or until drained: then its runs end first.

    Raises `SettingsError` when a setting is missing, or another process has the name or folder.
    """
    logs.configure(settings.log_level, settings.log_format)
    require_shared_database(settings)
    require_executor(settings)
    settings = with_stored_app(settings)
    require_app(settings)
    with (
        state_lock(settings.state_dir),
        tracing.exporting(settings.otlp_endpoint, "patchwright-worker"),
    ):
        store = SqlStore(settings.database)
        services = build(settings, store, DockerEngine(settings.docker_url))
        stopped, draining = threading.Event(), threading.Event()

        def drained() -> None:
            draining.set()
            stopped.set()

        def stop(_number: int, _frame: FrameType | None) -> None:
            if stopped.is_set():
                raise _ImmediateStop
            stopped.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        try:
            # The port outlives the work: a worker that waits for its runs to end is alive.
            up: list[WorkflowEngine] = []
            with (
                health.health_server(
                    settings,
                    store.ping,
                    lambda: any(engine.ready for engine in up) and not stopped.is_set(),
                ),
                running_worker(services, drained) as workflow_engine,
            ):
                up.append(workflow_engine)
                _log.info("working", worker=settings.executor, model=settings.profile)
                _run_until(stopped, services, workflow_engine)
                if draining.is_set():
                    workflow_engine.patience_s = settings.drain_minutes * 60
        except _ImmediateStop:
            _log.info("stopped immediately; other workers take over its runs")
        _log.info("stopped", worker=settings.executor)
        store.close()


def drain(settings: Settings, worker: str, wait: bool) -> bool:
    """Tell a worker to exit after its runs; False: there is none of that name.

    With `wait`, returns when it has ended. Raises `SettingsError`.
    """
    require_shared_database(settings)
    store = SqlStore(settings.database)
    try:
        if not worker_registry.drain(store.database, worker):
            return False
        audit.record(store.database, audit.operator(), "drain", worker)
        while wait and any(
            other.id == worker for other in worker_registry.list_workers(store.database)
        ):
            time.sleep(1)
    finally:
        store.close()
    return True


def _run_until(
    stopped: threading.Event, services: Services, workflow_engine: WorkflowEngine
) -> None:
    """Until told to stop: empty the outbox, and sweep up sandboxes of runs that are over."""
    swept = 0.0
    while not stopped.is_set():
        try:
            workflow_engine.flush_outbox()
            if time.monotonic() - swept > SWEEP_EVERY_S:
                swept = time.monotonic()
                asyncio.run(sweep_sandboxes(services.settings, services.store))
        except Exception:  # noqa: BLE001  the database is away: it is tried again
            _log.warning("the outbox could not be emptied", exc_info=True)
        stopped.wait(OUTBOX_EVERY_S)
