"""Rows of runs and of events: how one begins, and what its issue's key is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from agent.journal.events import now
from app.github.webhook_events import WEBHOOK_EVENT, Trigger, WebhookEvent, source_of
from app.storage import tables
from app.storage.notices import note_in
from app.storage.records import Accepted
from app.storage.tables import runs, to_micros

Insert = Callable[[sa.Table], sqlite.Insert | postgresql.Insert]
"""An insert statement in the database's own words."""


def dialect_insert(database: sa.Engine) -> Insert:
    """How rows are inserted in this database."""
    return sqlite.insert if database.dialect.name == "sqlite" else postgresql.insert


def live_key(repository_id: int, issue_number: int) -> str:
    """What only one live run may hold."""
    return f"{repository_id}#{issue_number}"


def former_name(name: str, repository_id: int) -> str:
    """How a repository is called whose name another one has now."""
    owner, _, short = name.partition("/")
    suffix = f".former.{repository_id}"
    return f"{owner}/{short[: 100 - len(suffix)]}{suffix}"


def renew_place(
    connection: sa.Connection,
    repository_id: int,
    name: str,
    installation_id: int,
    *,
    private: bool | None,
) -> None:
    """Bring what is known of a repository up to date: its name, installation and visibility.

    `private` is None where that was not said. Names are labels: a late delivery may bring an old
    one, and the next contact corrects it.
    """
    newest = connection.execute(
        sa.select(runs.c.repository, runs.c.installation_id, runs.c.visibility)
        .where(runs.c.repository_id == repository_id)
        .order_by(runs.c.created_at.desc(), runs.c.id.desc())
        .limit(1)
    ).one_or_none()
    # They change together, so the newest speaks for all.
    if newest is not None and newest[:2] != (name, installation_id):
        connection.execute(
            sa.update(runs)
            .where(runs.c.repository_id == repository_id)
            .values(repository=name, installation_id=installation_id)
        )
    if newest is not None and private is not None:
        before, after = (("", "asked"), "private") if private else (("private",), "asked")
        if newest.visibility in before:
            connection.execute(
                sa.update(runs)
                .where(runs.c.repository_id == repository_id, runs.c.visibility.in_(before))
                .values(visibility=after)
            )
    if newest is None or newest.repository != name:
        others = sa.select(runs.c.repository_id).where(
            runs.c.repository == name, runs.c.repository_id != repository_id
        )
        for other in set(connection.execute(others).scalars()):
            connection.execute(
                sa.update(runs)
                .where(runs.c.repository_id == other)
                .values(repository=former_name(name, other))
            )


def insert_new(
    connection: sa.Connection, insert: Insert, table: sa.Table, row: Mapping[str, object]
) -> bool:
    """Insert a row unless it conflicts with another; whether it is there now because of this.

    Asked of the database by RETURNING: an insert's row count is not given by every driver.
    """
    return connection.execute(_insert_if_new(insert, table), row).scalar_one_or_none() is not None


@cache
def _insert_if_new(insert: Insert, table: sa.Table) -> sa.Executable:
    """Made once for each table: making a statement costs more than executing it."""
    return insert(table).on_conflict_do_nothing().returning(next(iter(table.primary_key)))


def insert_event(
    connection: sa.Connection, event_id: str, event: WebhookEvent, received_at: int
) -> None:
    """Leave an event for the engine; `received_at` is in microseconds and sets its turn."""
    connection.execute(
        sa.insert(tables.asks).values(
            id=event_id,
            body=WEBHOOK_EVENT.dump_json(event).decode(),
            received_at=received_at,
            place=source_of(event),
        )
    )


def source_of_run(run: Mapping[str, Any], sender: str) -> dict[str, Any]:
    """What an event of our own work about a run's pull request says of where it is."""
    return {
        "installation_id": run["installation_id"],
        "repository": run["repository"],
        "repository_id": run["repository_id"],
        "default_branch": Trigger.model_validate_json(run["trigger"]).default_branch,
        "archived": False,
        "sender": sender,
        "sender_is_bot": True,
        "pull_number": run["pull_number"],
        "run_id": run["id"],
    }


def insert_run(
    connection: sa.Connection,
    insert: Insert,
    run_id: str,
    trigger: Trigger,
    *,
    delivery_id: str,
    model: str,
) -> Accepted:
    """The run of this id, new or known; else the live run that its issue has already."""
    key = live_key(trigger.repository_id, trigger.issue_number)
    at = to_micros(now())
    known = sa.select(tables.runs.c.id).where(tables.runs.c.id == run_id)
    live = sa.select(tables.runs.c.id).where(tables.runs.c.live_key == key)
    row = {
        "id": run_id,
        "repository": trigger.repository,
        "repository_id": trigger.repository_id,
        "visibility": "private" if trigger.private else "",
        "issue_number": trigger.issue_number,
        "title": without_nul(trigger.issue_title),
        "installation_id": trigger.installation_id,
        "delivery_id": delivery_id,
        "trigger": trigger.model_dump_json(),
        "triggered_by": trigger.sender,
        "model": model,
        "status": "queued",
        "created_at": at,
        "updated_at": at,
        "live_key": key,
    }
    attached = None
    while attached is None:  # again if the live run ended between the two statements
        if insert_new(connection, insert, tables.runs, row):
            if trigger.by != "schedule":  # a night's report tells of its runs
                note_in(connection, insert, run_id, "queued")
            return Accepted(run_id=run_id, how="new")
        if connection.execute(known).scalar_one_or_none() is not None:
            return Accepted(run_id=run_id, how="duplicate")
        if trigger.by != "schedule" and _give_way(connection, key):
            continue
        attached = connection.execute(live).scalar_one_or_none()
    return Accepted(run_id=attached, how="attached")


def _give_way(connection: sa.Connection, key: str) -> bool:
    """End the issue's live run if a night started it and it has shown nothing; whether it was so.

    Nobody on the issue knows of it, so nobody means it who asks for a run there.
    """
    row = connection.execute(
        sa.select(runs.c.id, runs.c.trigger).where(runs.c.live_key == key, runs.c.pull_number == 0)
    ).one_or_none()
    if row is None or Trigger.model_validate_json(row.trigger).by != "schedule":
        return False
    connection.execute(
        sa.update(runs)
        .where(runs.c.id == row.id, runs.c.live_key == key)
        .values(live_key=f"{key}@{row.id}", stop_requested=True, held_until=None)
    )
    return True


def queue_next_round(connection: sa.Connection, run_id: str) -> bool:
    """Queue a run that is done for its next round; False when it is not done.

    Its issue's key is taken if no other run holds it, else one of its own.
    """
    table = tables.runs
    row = connection.execute(
        sa.select(table.c.repository_id, table.c.issue_number, table.c.round).where(
            table.c.id == run_id, table.c.status == "done"
        )
    ).one_or_none()
    if row is None:
        return False
    key = live_key(row.repository_id, row.issue_number)
    taken = sa.select(table.c.id).where(table.c.live_key == key)
    if connection.execute(taken).scalar_one_or_none() is not None:
        key = f"{key}@{run_id}"
    changed = connection.execute(
        sa.update(table)
        .where(table.c.id == run_id, table.c.status == "done")
        .values(
            status="queued",
            round=row.round + 1,
            woken=False,
            stop_requested=False,
            enqueued_at=None,
            live_key=key,
            updated_at=to_micros(now()),
        )
    )
    return changed.rowcount > 0


def without_nul(text: str) -> str:
    """Text without NUL, which PostgreSQL cannot keep."""
    return text.replace("\0", "")


def ended_before(before: datetime) -> sa.ColumnElement[bool]:
    """Runs that were over before this moment.

    A run whose pull request is open may have another round, so it is not.
    """
    open_still = sa.and_(runs.c.pull_number > 0, runs.c.closed == "")
    return sa.and_(
        runs.c.status == "done", runs.c.updated_at < to_micros(before), sa.not_(open_still)
    )
