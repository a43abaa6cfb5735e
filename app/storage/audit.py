"""Who triggered what, and who changed the course of a run: rows that are only ever added."""

from __future__ import annotations

import getpass
import socket
from datetime import datetime, timedelta

import sqlalchemy as sa

from agent.journal.events import now
from agent.model import Record
from app.storage.run_rows import without_nul
from app.storage.tables import audit, from_micros, to_micros

_ADD = sa.insert(audit)


class Entry(Record):
    """Somebody did something."""

    at: datetime
    actor: str
    """A GitHub login, `operator@host` at the command line, or `patchwright` itself."""
    action: str
    subject: str
    """What it was done to: a run, a delivery, a worker."""
    detail: str = ""


def record(database: sa.Engine, actor: str, action: str, subject: str, detail: str = "") -> None:
    """Write an entry; on return it is durable."""
    with database.begin() as connection:
        record_in(connection, actor, action, subject, detail)


def record_in(
    connection: sa.Connection, actor: str, action: str, subject: str, detail: str = ""
) -> None:
    """`record` within a transaction that is open already."""
    row = {
        "at": to_micros(now()),
        "actor": without_nul(actor)[:128],
        "action": action,
        "subject": without_nul(subject)[:300],
        "detail": without_nul(detail)[:2000],
    }
    connection.execute(_ADD, row)


def entries(database: sa.Engine, limit: int = 100, subject: str = "") -> list[Entry]:
    """The latest entries, newest first; only those about `subject` if it is given."""
    query = sa.select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    if subject:
        query = query.where(audit.c.subject == subject)
    with database.execution_options(read_only=True).connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [
        Entry(
            at=from_micros(row["at"]),
            actor=row["actor"],
            action=row["action"],
            subject=row["subject"],
            detail=row["detail"],
        )
        for row in rows
    ]


def contains(database: sa.Engine, action: str, subject: str, within: timedelta) -> bool:
    """Whether this was done to the subject in the latest time."""
    query = sa.select(audit.c.id).where(
        audit.c.at > to_micros(now() - within),
        audit.c.action == action,
        audit.c.subject == subject,
    )
    with database.execution_options(read_only=True).connect() as connection:
        return connection.execute(query.limit(1)).first() is not None


def operator() -> str:
    """Who is at this command line."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
