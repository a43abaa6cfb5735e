"""The tables, and an engine set up for them.

Times are microseconds since 1970 in UTC: both databases sort and compare them alike.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.settings.database_url import pool_of, with_waits
from app.storage.migrate import migrate

metadata = sa.MetaData()

SLEEP_IN_TRANSACTION_MS = 10_000
"""Far more than any transaction here takes; they wait for nothing but the database."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("repository", sa.String(255), nullable=False),
    sa.Column("issue_number", sa.BigInteger, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("installation_id", sa.BigInteger, nullable=False),
    sa.Column("delivery_id", sa.String(64), nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("triggered_by", sa.String(100), nullable=False),
    sa.Column("model", sa.String(255), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False, default=""),
    sa.Column("pull_request", sa.Text, nullable=False, default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("updated_at", sa.BigInteger, nullable=False),
    # Set once the durable engine knows the run; NULL means that it is still to be told (outbox).
    sa.Column("enqueued_at", sa.BigInteger),
    # `repository#issue` while the run is live, NULL afterwards: one live run per issue.
    sa.Column("live_key", sa.String(300), unique=True),
    sa.Column("owner", sa.String(128), nullable=False, default=""),
    # Grows with every claim; who appends with an older one has lost the run.
    sa.Column("epoch", sa.BigInteger, nullable=False, default=0),
    sa.Column("next_seq", sa.BigInteger, nullable=False, default=0),
    sa.Column("stop_requested", sa.Boolean, nullable=False, default=False),
    # From 1; each review or failed check that continues the run is another round.
    sa.Column("round", sa.Integer, nullable=False, default=1, server_default="1"),
    # Something came in while the run was live: another round follows at once.
    sa.Column("woken", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("pull_number", sa.BigInteger, nullable=False, default=0, server_default="0"),
    # What became of its pull request: empty while it is open, merged, closed.
    sa.Column("closed", sa.String(8), nullable=False, default="", server_default=""),
    # When the limits let it begin; NULL while it waits.
    sa.Column("begun_at", sa.BigInteger),
    # Until then it does not begin: its issue is being told that it waits, or GitHub's limit lasts.
    sa.Column("held_until", sa.BigInteger),
    sa.Index("runs_newest", "created_at", "id"),
    sa.Index("runs_outbox", "enqueued_at", "status"),
    sa.Index("runs_of_pulls", "repository", "pull_number"),
    sa.Index("runs_of_repository", "repository", "created_at", "id"),
    sa.Index("runs_of_places", "repository", "installation_id"),
    sa.Index("runs_by_state", "status", "outcome", "pull_number", "closed"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(32), nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

logs = sa.Table(
    "logs",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("log_id", sa.String(128), primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

hints = sa.Table(
    "hints",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(32), nullable=False, index=True),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    # What it came by, so that the same is not added twice; NULL: nothing that could come again.
    sa.Column("key", sa.String(64)),
    sa.Index("hints_once", "key", unique=True),
)


asks = sa.Table(
    "asks",
    metadata,
    # The delivery's.
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("received_at", sa.BigInteger, nullable=False),
    # As with runs: NULL means that the durable engine is still to be told.
    sa.Column("enqueued_at", sa.BigInteger),
    sa.Column("answer", sa.Text, nullable=False, default=""),
    # Where it was said (see `app.github.webhook_events.place_of`): there it is answered in its turn.
    sa.Column("place", sa.String(300), nullable=False, default="", server_default=""),
    sa.Index("asks_outbox", "enqueued_at"),
    sa.Index("asks_of_places", "place", "received_at"),
)

handled = sa.Table(
    "handled",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    # What of the pull request's conversation a round has taken up: `line:5`, `check:7` …
    sa.Column("remark", sa.String(64), primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
)


def to_micros(moment: datetime) -> int:
    """A moment as the tables keep it."""
    seconds = int(moment.replace(microsecond=0).timestamp())
    return seconds * 1_000_000 + moment.microsecond


def from_micros(micros: int) -> datetime:
    """A moment from the tables."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


def open_engine(url: str) -> sa.Engine:
    """An engine for the application's own tables, which are brought to this version's shape."""
    engine = sqlite_engine(url) if _is_sqlite(url) else _postgresql_engine(url)
    migrate(engine)
    return engine


def sqlite_engine(url: str) -> sa.Engine:
    """An engine on an SQLite file that many threads and processes may share.

    WAL: readers and the one writer do not wait for each other. `synchronous=FULL`: in WAL mode
    NORMAL may lose the last transactions when the power fails, and an acknowledged delivery must
    not be lost; it costs one fsync a transaction (about 5 ms). The journal of a run asks for
    NORMAL by the option `quick`: it survives the death of any process, and after a power cut the
    run goes on from a few events earlier. Writers begin IMMEDIATE, because a transaction
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
        if not reads:
            connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: str) -> sa.Engine:
    """An engine whose sessions the server ends when they sleep in the middle of a transaction.

    So does a worker that is frozen in one: its row locks would keep the others from taking over.
    """
    engine = sa.create_engine(with_waits(url), pool_pre_ping=True, **pool_of(url))

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {SLEEP_IN_TRANSACTION_MS}")
        connection.commit()

    return engine


def _is_sqlite(url: str) -> bool:
    return sa.make_url(url).get_backend_name() == "sqlite"
