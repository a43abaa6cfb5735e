"""Removes what other processes' runs left behind: sandboxes, trees, containers."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from agent.journal.events import now
from app.git import mirror
from app.git.commit_history import forget_unused
from app.sandboxes.base import Sandboxes
from app.sandboxes.docker import DockerSandboxes
from app.sandboxes.kubernetes import KubernetesSandboxes, kubernetes_engine
from app.settings.schema import Settings
from app.storage.inbox import Inbox
from app.storage.proofs import Proofs
from app.storage.store import SqlStore
from app.telemetry import logs
from sandbox.docker.engine import DockerEngine
from sandbox.docker.pool import POOL_RUN
from sandbox.errors import SandboxError
from sandbox.kubernetes.engine import KubernetesEngine

KEEP_GIT_DATA = timedelta(days=30)
"""How long histories and mirrors are kept after their last use."""

_log = logs.get(__name__)

SWEEP_EVERY_S = 60.0
"""How often a worker looks for sandboxes that no run owns."""


async def remove_waiting(settings: Settings) -> None:
    """Destroy the sandboxes that this process kept warm: no other process may use them."""
    if settings.sandbox_engine != "docker" or settings.pool_size == 0:
        return
    engine = DockerEngine(settings.docker_url)
    try:
        await engine.sweep((), installation=settings.installation, only=POOL_RUN)
    except SandboxError as error:  # the next start finds them
        _log.warning("waiting sandboxes could not be removed", why=str(error))
    finally:
        await engine.close()


def _at_work(store: SqlStore) -> frozenset[str]:
    """Live runs and proofs, and checks without an answer: what sandboxes and trees belong to."""
    database = store.database
    return store.live().union(Inbox(database).open_checks(), Proofs(database).live())


def sweep_trees(settings: Settings, store: SqlStore) -> None:
    """Delete complete and partial trees in this machine's state folder whose runs are over."""
    # In this order: a run is live before it has a tree, so none of these belongs to a later one.
    files = list((settings.state_dir / "trees").glob("*-*"))
    if not files:
        return
    live = _at_work(store)
    for file in files:
        if file.suffix in (".tar", ".part") and file.name.partition("-")[0] not in live:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("a tree could not be deleted", file=str(file), why=error.strerror)


def sweep_histories(settings: Settings, moment: datetime) -> None:
    """Delete histories in this machine's state folder that no run has used for a month.

    Their repository may be gone; one that is still worked on gets its history again.
    """
    before = (moment - KEEP_GIT_DATA).timestamp()
    for lock in (settings.state_dir / "histories").glob("*/.lock"):
        try:
            if gone := forget_unused(lock.parent, before):
                _log.info("unused histories", repository=lock.parent.name, deleted=gone)
        except OSError as error:
            _log.warning(
                "histories could not be deleted", folder=str(lock.parent), why=error.strerror
            )


def sweep_mirrors(settings: Settings, store: SqlStore, moment: datetime) -> None:
    """Delete mirrors in this machine's state folder that no run has fetched into for a month.

    Their repository may have left; of one that is worked on again all is fetched again.
    """
    busy = store.busy_repositories() | Proofs(store.database).busy_repositories()
    try:
        before = (moment - KEEP_GIT_DATA).timestamp()
        if gone := mirror.forget_unused(settings.state_dir / "mirrors", before, busy):
            _log.info("unused mirrors", deleted=gone)
    except OSError as error:
        _log.warning("mirrors could not be deleted", why=error.strerror)


async def sweep_sandboxes(settings: Settings, store: SqlStore) -> None:
    """Destroy sandboxes that no live run owns, trees that a crash left, unused git data.

    A run that ends elsewhere leaves its trees here too.
    """
    sweep_trees(settings, store)
    await asyncio.to_thread(sweep_histories, settings, now())
    await asyncio.to_thread(sweep_mirrors, settings, store, now())
    engine: DockerEngine | KubernetesEngine
    if settings.sandbox_engine == "kubernetes":
        engine = kubernetes_engine(settings)
        sandboxes: Sandboxes = KubernetesSandboxes(settings, engine)
    else:
        engine = DockerEngine(settings.docker_url)
        sandboxes = DockerSandboxes(settings, engine)
    try:
        await sandboxes.sweep(_at_work(store))
    except SandboxError as error:
        # Runs wait for the engine by themselves; deliveries are taken in the meantime.
        _log.warning("sandboxes could not be swept", why=str(error))
    finally:
        await engine.close()
