"""Tables of operation: workers, controls of runs, usage, archives, audit.

They stand on the same metadata as `app.storage.tables`, and come into being by the same migrations.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.storage.tables import metadata

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    # Another at each start: a process that was taken for dead sees that it is not the one meant.
    sa.Column("incarnation", sa.String(32), nullable=False),
    # active, draining (told to end), gone (ended, or taken for dead)
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    # By the database's clock, so that machines need not agree on the time.
    sa.Column("beat_at", sa.BigInteger, nullable=False),
)

controls = sa.Table(
    "controls",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("paused", sa.Boolean, nullable=False, default=False),
    # Blame for workers that died at the same place of the run, one after the other.
    sa.Column("deaths", sa.Integer, nullable=False, default=0),
    # How much of the run was complete at the last of them.
    sa.Column("mark", sa.BigInteger, nullable=False, default=-1),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("turns", sa.BigInteger, nullable=False),
)

archives = sa.Table(
    "archives",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("archived_at", sa.BigInteger, nullable=False),
    sa.Column("deleted_at", sa.BigInteger),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("detail", sa.Text, nullable=False, default=""),
    sa.Index("audit_newest", "at"),
)
