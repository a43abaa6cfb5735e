"""`patchwright serve`: the service and a worker in one process."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import Lifespan

from app import logs
from app.durable import Durable, running
from app.forge_github import GithubApp
from app.intake import Intake
from app.mirror import Mirror
from app.missed import recover
from app.model_choice import make_model
from app.runs import Services
from app.sandboxes import DockerSandboxes
from app.service import Web, create_app
from app.settings import Settings, SettingsError
from app.settings_github import PREFIX
from app.settings_sources import with_stored_app
from app.setup_server import until_set_up
from app.store import SqlStore
from sandbox.docker_engine import DockerEngine
from sandbox.errors import SandboxError

OUTBOX_EVERY_S = 15.0

_log = logs.get(__name__)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; without an App, first only the pages to set one up.

    Then no more work is taken; the runs in hand are left to their journals, and the next start goes
    on with them. Raises `SettingsError` when a setting is missing or the state folder is in use.
    """
    logs.configure(settings.log_level, settings.log_format)
    _require_executor(settings)
    with state_lock(settings.state_dir):
        if not settings.github_app_id:
            until_set_up(settings)
            settings = with_stored_app(settings)
        _require_app(settings)
        store = SqlStore(settings.database)
        engine = DockerEngine(settings.docker_url)
        services = build(settings, store, engine)
        asyncio.run(_sweep(services, engine))
        with running(services) as durable:
            web = Web(
                settings,
                store,
                durable.enqueue,
                lambda: durable.ready,
                durable.enqueue_ask,
            )
            app = create_app(
                web,
                lifespan=_lifespan(durable, github_app(settings), web.intake),
            )
            # The server ends at SIGTERM and then raises it again: that must not end this process
            # before the engine is closed.
            signal.signal(signal.SIGTERM, lambda *_: None)
            _log.info("serving", url=settings.base_url, model=settings.profile)
            uvicorn.run(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=10,
            )
        _log.info("stopped; unfinished runs go on at the next start", runs=len(store.live()))
        store.close()


def github_app(settings: Settings) -> GithubApp:
    """The App's identity, as the settings say."""
    return GithubApp(
        app_id=str(settings.github_app_id),
        private_key=settings.secret("github_private_key"),
        api_url=settings.github_api_url,
        ca_file=str(settings.github_ca_file or ""),
    )


def build(settings: Settings, store: SqlStore, engine: DockerEngine) -> Services:
    """The real services of runs: GitHub, mirrors, Docker and the model, as the settings say."""
    ca_file = str(settings.github_ca_file or "")
    app = github_app(settings)
    mirrors = settings.state_dir / "mirrors"
    return Services(
        settings=settings,
        store=store,
        forge=app.forge,
        mirror=lambda url: Mirror.of_remote(mirrors, url, ca_file=ca_file),
        sandboxes=DockerSandboxes(settings, engine),
        make_model=lambda run_id, seed, waiting: make_model(
            settings, run_id=run_id, seed=seed, on_waiting=waiting
        ),
    )


@contextmanager
def state_lock(state_dir: Path) -> Iterator[None]:
    """Hold the state folder; the kernel lets go of it when the process dies, however it dies.

    Raises `SettingsError` when another process holds it or it cannot be made.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (state_dir / "serve.lock").open("a+")
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}STATE_DIR: {state_dir} cannot be used ({error.strerror}). "
            "Name a folder that this user may write to."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise SettingsError(
                f"{PREFIX}STATE_DIR: another Patchwright (process {holder}) works in {state_dir}. "
                f"Stop it, or give this one a folder of its own with {PREFIX}STATE_DIR."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _require_app(settings: Settings) -> None:
    missing = [
        variable
        for variable, there in (
            ("GITHUB_APP_ID", settings.github_app_id),
            ("GITHUB_PRIVATE_KEY_FILE", settings.secret("github_private_key")),
            ("GITHUB_WEBHOOK_SECRET_FILE", settings.secret("github_webhook_secret")),
        )
        if not there
    ]
    if missing:
        names = ", ".join(PREFIX + name for name in missing)
        raise SettingsError(f"The service needs all of a GitHub App. Set {names}.")


def _require_executor(settings: Settings) -> None:
    if not settings.database.startswith("sqlite") and not settings.executor_id:
        raise SettingsError(
            f"With PostgreSQL, workers may share the database. Set {PREFIX}EXECUTOR_ID to a name "
            "that this worker keeps and no other has."
        )


async def _sweep(services: Services, engine: DockerEngine) -> None:
    """Destroy sandboxes that no live run owns: a crash may have left them."""
    try:
        await services.sandboxes.sweep(services.store.live())
    except SandboxError as error:
        # Runs wait for the engine by themselves; deliveries are taken meanwhile.
        _log.warning("sandboxes could not be swept", why=str(error))
    finally:
        await engine.close()


def _lifespan(durable: Durable, github: GithubApp, intake: Intake) -> Lifespan[FastAPI]:
    """Beside the service: take in what was missed; tell the engine what it could not be told."""

    async def empty_outbox() -> None:
        while True:
            await asyncio.sleep(OUTBOX_EVERY_S)
            try:
                await run_in_threadpool(durable.flush_outbox)
            except Exception:  # noqa: BLE001  the database is away: it is tried again
                _log.warning("the outbox could not be emptied", exc_info=True)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = {
            asyncio.create_task(empty_outbox()),
            asyncio.create_task(recover(github, intake)),
        }
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    return lifespan
