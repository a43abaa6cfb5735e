"""`patchwright serve`: the service and a worker in one process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import Lifespan

from app.github.client import GithubForge
from app.intake.receive import Intake
from app.intake.redelivery import recover_periodically
from app.operations.retention import run_maintenance
from app.queue.background import BackgroundCalls
from app.queue.client import WorkflowClient, workflow_client
from app.server.bootstrap import (
    build,
    github_app,
    require_app,
    require_executor,
    require_shared_database,
)
from app.server.lifecycle import running_worker
from app.server.sweeps import SWEEP_EVERY_S, sweep_sandboxes
from app.server.workflow_engine import WorkflowEngine
from app.settings.access import with_operator_token
from app.settings.loading import with_stored_app
from app.settings.schema import Settings
from app.storage.locks import database_lock, state_lock
from app.storage.store import SqlStore
from app.telemetry import logs, tracing
from app.web.app import Web, create_app
from app.web.auth.visitors import roles_from
from app.web.server import web_server
from app.web.setup.server import serve_until_set_up
from sandbox.docker.engine import DockerEngine

__all__ = ["serve", "state_lock"]

OUTBOX_EVERY_S = 15.0
NOT_STARTED = 3
"""Exit status when the port cannot be used."""

_log = logs.get(__name__)


def serve(settings: Settings, *, worker: bool = True) -> None:
    """Serve until SIGTERM or SIGINT; without an App, first only the pages to set one up.

    Then no more work is taken; the runs in hand are left to their journals, and the next start, or
    another worker, goes on with them. Without `worker` deliveries are taken and runs are shown, and
    workers elsewhere do them. Raises `SettingsError` when a setting is missing or the state folder
    or database is in use.
    """
    logs.configure(settings.log_level, settings.log_format)
    if worker:
        require_executor(settings)
    else:
        require_shared_database(settings)
    with (
        state_lock(settings.state_dir),
        database_lock(settings),
        tracing.exporting(settings.otlp_endpoint, "patchwright"),
    ):
        if not settings.github_app_id:
            serve_until_set_up(with_operator_token(settings))
            settings = with_stored_app(settings)
        require_app(settings)
        settings = with_operator_token(settings)
        store = SqlStore(settings.database)
        if worker:
            asyncio.run(sweep_sandboxes(settings, store))
            services = build(settings, store, DockerEngine(settings.docker_url))
            draining = threading.Event()

            def drained() -> None:
                draining.set()
                os.kill(os.getpid(), signal.SIGINT)  # ends the server

            with running_worker(services, drained) as workflow_engine:
                _listen(settings, store, workflow_engine)
                if draining.is_set():
                    workflow_engine.patience_s = settings.drain_minutes * 60
        else:
            with workflow_client(settings, store) as client:
                _listen(settings, store, client)
        _log.info("stopped; unfinished runs continue at the next start", runs=len(store.live()))
        store.close()


def _listen(settings: Settings, store: SqlStore, engine: WorkflowEngine | WorkflowClient) -> None:
    """Receive deliveries and serve pages until a signal."""
    # A thread that computes may keep the others waiting this long; deliveries should not wait for
    # the runs that are worked on in the same process.
    sys.setswitchinterval(0.001)
    # Deliveries are acknowledged once they are durable; the engine is told right after.
    background = BackgroundCalls()
    web = Web(
        settings,
        store,
        background.deferred(engine.enqueue),
        lambda: engine.ready,
        background.deferred(engine.enqueue_event),
        roles_from(settings, partial(GithubForge, github_app(settings))),
    )
    app = create_app(web, lifespan=_lifespan(settings, store, engine, web.intake))
    # The server ends at SIGTERM and then raises it again: that must not end this process
    # before the engine is closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    _log.info(
        "serving",
        url=settings.base_url,
        model=settings.profile,
        operator_token_file=str(settings.operator_token_file or ""),
    )
    server = web_server(app, settings, stop_s=10)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:  # the server has logged why
        sys.exit(NOT_STARTED)


def _lifespan(
    settings: Settings, store: SqlStore, engine: WorkflowEngine | WorkflowClient, intake: Intake
) -> Lifespan[FastAPI]:
    """Beside the service: take in what was missed; tell the engine what it could not be told.

    With a worker also: destroy sandboxes that no run owns any more, which a crash of the container
    engine may have left.
    """

    async def empty_outbox() -> None:
        while True:
            await asyncio.sleep(OUTBOX_EVERY_S)
            try:
                await run_in_threadpool(engine.flush_outbox)
            except Exception:  # noqa: BLE001  the database is away: it is tried again
                _log.warning("the outbox could not be emptied", exc_info=True)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await sweep_sandboxes(settings, store)
            except Exception:  # noqa: BLE001  the database is away: it is tried again
                _log.warning("sandboxes could not be swept", exc_info=True)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = {
            asyncio.create_task(empty_outbox()),
            asyncio.create_task(recover_periodically(github_app(settings), intake)),
            asyncio.create_task(run_maintenance(settings, store)),
        }
        if isinstance(engine, WorkflowEngine):
            tasks.add(asyncio.create_task(sweep()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    return lifespan
