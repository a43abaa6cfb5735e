"""Repositories by GitHub's id, which stays when they are renamed or transferred."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

BATCH = 500


def upgrade() -> None:
    """The ids come from what was kept of each run's and event's delivery."""
    op.add_column(
        "runs", sa.Column("repository_id", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("runs", sa.Column("visibility", sa.String(8), nullable=False, server_default=""))
    op.drop_index("runs_of_pulls", "runs")
    op.drop_index("runs_of_places", "runs")
    op.create_index("runs_of_pulls", "runs", ["repository_id", "pull_number"])
    op.create_index("runs_of_ids", "runs", ["repository_id", "created_at", "id"])
    op.create_index("runs_of_places", "runs", ["repository_id", "installation_id", "repository"])
    op.create_index("runs_by_visibility", "runs", ["visibility", "repository_id"])
    connection = op.get_bind()
    _name_runs_by_id(connection)
    _name_events_by_id(connection)


def _name_runs_by_id(connection: sa.Connection) -> None:
    runs = sa.table(
        "runs",
        *(sa.column(name) for name in ("id", "trigger", "issue_number", "live_key")),
        sa.column("repository_id", sa.BigInteger),
    )
    query = sa.select(runs.c.id, runs.c.trigger, runs.c.issue_number, runs.c.live_key)
    change = sa.update(runs).where(runs.c.id == sa.bindparam("run"))
    change = change.values(repository_id=sa.bindparam("repository"), live_key=sa.bindparam("live"))
    taken: set[str] = set()
    last = ""
    while rows := connection.execute(
        query.where(runs.c.id > last).order_by(runs.c.id).limit(BATCH)
    ).all():
        changes: list[dict[str, Any]] = []
        for row in rows:
            repository, live = json.loads(row.trigger)["repository_id"], None
            if row.live_key is not None:
                live = f"{repository}#{row.issue_number}"
                # Renamed and labelled again: one issue has two live runs, by two names.
                if "@" in row.live_key or live in taken:
                    live += f"@{row.id}"
                taken.add(live)
            changes.append({"run": row.id, "repository": repository, "live": live})
        connection.execute(change, changes)
        last = rows[-1].id


def _name_events_by_id(connection: sa.Connection) -> None:
    """Where events were said, of those that wait to be handled."""
    asks = sa.table("asks", *(sa.column(name) for name in ("id", "body", "place", "answer")))
    query = sa.select(asks.c.id, asks.c.body, asks.c.place).where(
        asks.c.answer == "", asks.c.place != ""
    )
    for row in connection.execute(query).all():
        place = f"{json.loads(row.body)['repository_id']}#{row.place.rpartition('#')[2]}"
        connection.execute(sa.update(asks).where(asks.c.id == row.id).values(place=place))
