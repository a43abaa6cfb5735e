"""Which workers are alive: a row for each with its last heartbeat, by the database's clock.

A worker's name is its for as long as it lives: on PostgreSQL a session lock holds it, which the
server lets go of when the process or its machine dies. What a worker may write is not decided here
but by each run's epoch (`app.storage.store`): a worker taken for dead by mistake does no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from app.settings.base import SettingsError
from app.storage.database.connection import clock
from app.storage.run_rows import dialect_insert
from app.storage.tables import workers
from app.telemetry import logs

State = Literal["active", "draining", "gone"]

END_S = 15.0
"""How long shutdown waits for a heartbeat or a takeover that is in progress."""

_log = logs.get(__name__)


class NameTaken(SettingsError):
    """Another live worker has this name."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as the others see it."""

    id: str
    state: State
    silent_s: float
    """Seconds since its last heartbeat."""


@dataclass(frozen=True, slots=True)
class WorkerRegistration:
    """A worker's own row."""

    database: sa.Engine
    worker_id: str
    incarnation: str

    def beat(self) -> State:
        """Give a heartbeat. A worker that was taken for dead meanwhile is `gone`."""
        own_row = sa.and_(workers.c.id == self.worker_id, workers.c.incarnation == self.incarnation)
        with self.database.begin() as connection:
            state = connection.execute(
                sa.update(workers)
                .where(own_row, workers.c.state != "gone")
                .values(beat_at=clock(connection))
                .returning(workers.c.state)
            ).scalar_one_or_none()
        return state or "gone"

    def leave(self) -> None:
        """The worker ends; others need not wait before they take up what it left."""
        with self.database.begin() as connection:
            connection.execute(
                sa.update(workers)
                .where(workers.c.id == self.worker_id, workers.c.incarnation == self.incarnation)
                .values(state="gone")
            )


def register(database: sa.Engine, worker_id: str) -> WorkerRegistration:
    """Register under this name, whatever happened to its previous holder."""
    incarnation = uuid.uuid4().hex
    with database.begin() as connection:
        now = clock(connection)
        values = {
            "incarnation": incarnation,
            "state": "active",
            "started_at": now,
            "beat_at": now,
        }
        statement = dialect_insert(database)(workers).values(id=worker_id, **values)
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    return WorkerRegistration(database, worker_id, incarnation)


def drain(database: sa.Engine, worker_id: str) -> bool:
    """Tell a worker to accept no more work and to exit after its runs; False: no such worker."""
    with database.begin() as connection:
        updated = connection.execute(
            sa.update(workers)
            .where(workers.c.id == worker_id, workers.c.state != "gone")
            .values(state="draining")
        )
    return updated.rowcount > 0


def list_workers(database: sa.Engine) -> list[Worker]:
    """All workers that have not signed off."""
    with database.execution_options(read_only=True).connect() as connection:
        now = connection.execute(sa.select(clock(connection))).scalar_one()
        rows = connection.execute(
            sa.select(workers.c.id, workers.c.state, workers.c.beat_at)
            .where(workers.c.state != "gone")
            .order_by(workers.c.id)
        ).all()
    return [Worker(row.id, row.state, max(0.0, (now - row.beat_at) / 1e6)) for row in rows]


def mark_dead(connection: sa.Connection, dead_after_s: float) -> list[str]:
    """Mark workers that were silent for too long as gone; returns their names.

    Their rows stay locked until the transaction's end, so that one that wakes up sees it.
    """
    limit = clock(connection) - int(dead_after_s * 1e6)
    found = connection.execute(
        sa.update(workers)
        .where(workers.c.state != "gone", workers.c.beat_at < limit)
        .values(state="gone")
        .returning(workers.c.id)
    )
    return list(found.scalars())


def alive(connection: sa.Connection) -> frozenset[str]:
    """Names of the live workers."""
    query = sa.select(workers.c.id).where(workers.c.state != "gone")
    return frozenset(connection.execute(query).scalars())


@contextmanager
def hold_name(database: sa.Engine, worker_id: str) -> Iterator[None]:
    """Hold the name against other processes. Raises `NameTaken`; SQLite has one process only."""
    if database.dialect.name != "postgresql":
        yield
        return
    key = int.from_bytes(hashlib.sha256(f"worker {worker_id}".encode()).digest()[:8], signed=True)
    with database.connect() as connection:
        held = connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one()
        connection.commit()
        if not held:
            raise NameTaken(
                f"PATCHWRIGHT_EXECUTOR_ID: another live worker is named {worker_id}. Stop it, or "
                "give this one a different name."
            )
        try:
            yield
        finally:
            # At once, and not only when the server notices that the session is gone; which it is
            # then too, because a session that died in between has let go already.
            with contextlib.suppress(SQLAlchemyError):
                connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
            connection.invalidate()


@dataclass(frozen=True, slots=True)
class OwnHeartbeats:
    """How long this worker's own heartbeats have been coming through, by its own clock.

    While the database is away nobody's do. Who comes back first must not take the others for dead,
    who are as silent as it was; nor must a worker that was started again in the meantime.
    """

    since: float
    last: float

    def after_beat(self, moment: float, dead_after_s: float) -> OwnHeartbeats:
        """After another heartbeat."""
        broken = moment - self.last > dead_after_s / 2
        return OwnHeartbeats(moment if broken else self.since, moment)

    def can_judge_others(self, moment: float, dead_after_s: float) -> bool:
        """Whether the silence of others says something of them, and not of the database."""
        fresh = moment - self.last <= dead_after_s / 2
        return fresh and moment - self.since > dead_after_s


@contextmanager
def heartbeats(
    registration: WorkerRegistration,
    every_s: float,
    dead_after_s: float,
    drained: Callable[[], None],
    sweep: Callable[[bool], object],
) -> Iterator[None]:
    """Send heartbeats from a thread during the block; calls `drained` when told to drain.

    `sweep` is called as often, and told whether the silent may be taken for dead. It has another
    thread: the durable engine waits for its database for as long as it takes, and a worker that
    takes work must not stop to give heartbeats. At the end the worker leaves.
    """
    stop = threading.Event()
    current = [registration]
    own_beats = [OwnHeartbeats(time.monotonic(), time.monotonic())]

    def beat() -> None:
        draining = False
        while not stop.wait(every_s):
            try:
                state = current[0].beat()
                if state == "gone":
                    _log.warning("this worker was considered dead; its runs went to others")
                    current[0] = register(registration.database, registration.worker_id)
                own_beats[0] = own_beats[0].after_beat(time.monotonic(), dead_after_s)
                if state == "draining" and not draining:
                    draining = True
                    _log.info("draining: no more work is accepted")
                    drained()
            except Exception as error:  # noqa: BLE001  whatever it is, the next one may succeed
                _log.warning("no heartbeat could be sent", why=str(error).split("\n")[0])

    def look() -> None:
        while not stop.wait(every_s):
            try:
                sweep(own_beats[0].can_judge_others(time.monotonic(), dead_after_s))
            except Exception as error:  # noqa: BLE001  the database's errors and the engine's
                _log.warning("dead workers could not be looked up", why=str(error).split("\n")[0])

    threads = [
        threading.Thread(target=beat, name="signs of life", daemon=True),
        threading.Thread(target=look, name="sweep", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(END_S)
        try:
            current[0].leave()
        except SQLAlchemyError as error:  # others see it by the silence
            _log.warning("the worker could not sign off", why=str(error).split("\n")[0])
