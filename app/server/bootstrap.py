"""The real services of runs, put together as the settings say; what has to be set for them."""

from __future__ import annotations

import asyncio
from functools import partial

from app.git.mirror import Mirror
from app.github.app import GithubApp
from app.github.client import GithubForge
from app.llm.factory import make_model, profile_of
from app.llm.server_metrics import CacheReader, reports_cache
from app.llm.warm_streams import Room, WarmStreams
from app.publishing.facts import FACTS_LOG, read_preferences
from app.queue import worker_registry
from app.repo_config.effective import read_effective_config
from app.runs.services import Services
from app.sandboxes.cluster_environments import build_settings
from app.sandboxes.docker import DockerSandboxes
from app.sandboxes.kubernetes import KubernetesSandboxes, cluster_image, kubernetes_engine
from app.settings.base import PREFIX, SettingsError
from app.settings.schema import Settings
from app.storage.kept_comments import KeptComments
from app.storage.store import SqlStore
from app.telemetry import logs
from sandbox.docker.engine import DockerEngine
from sandbox.errors import SandboxError

_log = logs.get(__name__)


def github_app(settings: Settings) -> GithubApp:
    """The App's identity, as the settings say."""
    return GithubApp(
        app_id=str(settings.github_app_id),
        private_key=lambda: settings.secret("github_private_key"),
        api_url=settings.github_api_url,
        ca_file=str(settings.github_ca_file or ""),
        api_version=settings.github_api_version,
    )


def build(settings: Settings, store: SqlStore, engine: DockerEngine) -> Services:
    """The real services of runs: GitHub, mirrors, sandboxes and the model, as the settings say.

    Raises `SettingsError` when sandboxes are to be pods and no cluster is named.
    """
    ca_file = str(settings.github_ca_file or "")
    app = github_app(settings)
    mirrors = settings.state_dir / "mirrors"
    sandboxes: DockerSandboxes | KubernetesSandboxes
    if settings.sandbox_engine == "kubernetes":
        require_cluster(settings)
        sandboxes = KubernetesSandboxes(settings, kubernetes_engine(settings))
    else:
        sandboxes = DockerSandboxes(settings, engine)
    warm = warm_streams(settings, store)
    return Services(
        settings=settings,
        store=store,
        forge=partial(GithubForge, app, written=KeptComments(store.database)),
        mirror=lambda url, repository_id=0: Mirror.of_remote(
            mirrors,
            url,
            ca_file=ca_file,
            limits=settings.git_limits,
            repository_id=repository_id,
        ),
        sandboxes=sandboxes,
        prepare=sandboxes.prepare,
        make_model=lambda run_id, seed, waiting, looking: make_model(
            _with_model(settings, store, run_id, seed + 1),
            run_id=run_id,
            seed=seed,
            looking=looking,
            on_waiting=waiting,
            picture=partial(store.get_log, run_id),
        ),
        read_config=lambda forge: read_effective_config(settings, forge),
        warm=lambda run_id, seed: warm.get(_with_model(settings, store, run_id, seed + 1).profile),
    )


def warm_streams(settings: Settings, store: SqlStore) -> dict[str, WarmStreams]:
    """Room in the model servers' caches by the profiles that run there; without those not minded.

    Profiles on the same servers share their room; each live worker has an equal part of it.
    Raises `SettingsError` for a profile that is wrong.
    """
    found: dict[str, WarmStreams] = {}
    by_servers: dict[tuple[tuple[str, ...], int], WarmStreams] = {}
    for name in settings.offered_models:
        profile = None if name == "offline" else profile_of(settings.with_model(name))
        if profile is None or not settings.model_cache_aware:
            continue
        server = settings.server_of(name)
        if not server.warm_streams and not reports_cache(profile):
            continue
        servers = (server.url, server.warm_streams)
        if servers not in by_servers:
            endpoint = name if settings.has_own_server(name) else "default"
            by_servers[servers] = _warm_streams(settings, store, name, endpoint)
        found[name] = by_servers[servers]
    return found


def _warm_streams(settings: Settings, store: SqlStore, profile: str, endpoint: str) -> WarmStreams:
    server = settings.server_of(profile)

    async def part() -> Room:
        # With the key of now: its file may have changed.
        reader = CacheReader(server.url, server.warm_streams, settings.model_key(profile))
        room = await reader.room()
        workers = await asyncio.to_thread(worker_registry.list_workers, store.database)
        return room.shared_by(len(workers))

    return WarmStreams(part, endpoint=endpoint)


def _with_model(settings: Settings, store: SqlStore, run_id: str, attempt: int) -> Settings:
    """The settings, with the model that the run's repository chose of those that are offered."""
    chosen = read_preferences(store.get_log(run_id, FACTS_LOG)).model_of(attempt)
    return settings.with_model(chosen) if chosen else settings


def require_app(settings: Settings) -> None:
    """Raises `SettingsError` unless the GitHub App is complete."""
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
        raise SettingsError(f"The service needs a complete GitHub App. Set {names}.")


def require_executor(settings: Settings) -> None:
    """Raises `SettingsError` when a worker that shares its database has no name."""
    if not settings.database.startswith("sqlite") and not settings.executor_id:
        raise SettingsError(
            f"With PostgreSQL, workers may share the database. Set {PREFIX}EXECUTOR_ID to a "
            "permanent name that no other worker has."
        )


def require_shared_database(settings: Settings) -> None:
    """Raises `SettingsError` on SQLite, which processes cannot share."""
    if settings.database.startswith("sqlite"):
        raise SettingsError(
            "SQLite serves only one process: `patchwright serve` executes the runs itself. For "
            f"separate workers, set {PREFIX}DATABASE_URL to a PostgreSQL database."
        )


def require_cluster(settings: Settings) -> None:
    """Raises `SettingsError` when the cluster of the sandboxes, or their image, is not named."""
    cluster_image(settings)
    build_settings(settings)
    try:
        kubernetes_engine(settings)
    except SandboxError as problem:
        raise SettingsError(str(problem)) from None
