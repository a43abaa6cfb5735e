"""Connections to SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.settings.database_url import pool_of, with_timeouts
from app.storage.database.migrate import migrate

SLEEP_IN_TRANSACTION_MS = 10_000
"""Far more than any transaction here takes; they wait for nothing but the database."""


def open_database(url: str) -> sa.Engine:
    """An engine for the application's own tables, which are brought to this version's shape."""
    engine = sqlite_database(url) if _is_sqlite(url) else _postgresql_database(url)
    migrate(engine)
    return engine


def clock(connection: sa.Connection) -> sa.ColumnElement[int]:
    """The database's own time in microseconds since 1970: machines need not agree on theirs."""
    if connection.dialect.name == "sqlite":
        seconds = sa.func.julianday("now") - 2440587.5
        return sa.cast(seconds * 86_400_000_000, sa.BigInteger)
    epoch = sa.extract("epoch", sa.func.clock_timestamp())
    return sa.cast(epoch * 1_000_000, sa.BigInteger)


def sqlite_database(url: str) -> sa.Engine:
    """An engine on an SQLite file that many threads and processes may share.

    WAL: readers and the one writer do not wait for each other. `synchronous=FULL`: in WAL mode
    NORMAL may lose the last transactions when the power fails, and an acknowledged delivery must
    not be lost; it costs one fsync a transaction (about 5 ms). The journal of a run asks for
    NORMAL by the option `quick`: it survives the death of any process, and after a power cut the
    run continues from a few events earlier. Writers begin IMMEDIATE, because a transaction
    that reads first and writes later would fail at once, without waiting, if another wrote
    in between.
    """
    database = sa.make_url(url).database
    if database:
        Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": 30.0})

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        reads = options.get("read_only", False)
        synchronous = "NORMAL" if options.get("quick", False) else "FULL"
        if not reads and connection.info.get("synchronous", "FULL") != synchronous:
            connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
            connection.info["synchronous"] = synchronous
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _postgresql_database(url: str) -> sa.Engine:
    """An engine whose sessions the server ends when they sleep in the middle of a transaction.

    So does a worker that is frozen in one: its row locks would keep the others from taking over.
    """
    engine = sa.create_engine(with_timeouts(url), pool_pre_ping=True, **pool_of(url))

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {SLEEP_IN_TRANSACTION_MS}")
        connection.commit()

    return engine


def _is_sqlite(url: str) -> bool:
    return sa.make_url(url).get_backend_name() == "sqlite"
