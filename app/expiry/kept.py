"""Pull requests of the App and how long nobody has been there: when each is looked at, and what
was said about it.

A look is an event, kept in the same transaction that takes the pull request's turn: so of many
workers one has it looked at, and a crash loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from agent.journal.events import now
from agent.model import Record
from app.github.webhook_events import ExpiryDue
from app.storage.records import check_id_for
from app.storage.run_rows import dialect_insert, insert_event, insert_new, source_of_run
from app.storage.tables import expiries, from_micros, runs, to_micros

NEXT = timedelta(days=1)
"""When a pull request is looked at again that has nothing else to wait for: the repository's
settings may be others by then. Also after a look that came to nothing."""
MOST = 100
"""Pull requests whose turn is taken at a time."""
State = Literal["open", "closing", "closed"]
"""`closing`: it was begun; `closed`: by us."""


class Expiry(Record):
    """What is known of a pull request's expiry."""

    run_id: str
    state: State
    since: datetime
    """From when on nobody was there, unless GitHub tells of somebody later."""
    head: str
    """Its last commit as last seen; empty: not looked at yet."""
    reminded_at: datetime | None
    closes_at: datetime | None
    """What the reminder says."""
    next_at: datetime


class Expiries:
    """The expiries in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)

    def queue_due(self) -> int:
        """Have open pull requests looked at whose time has come; returns how many. Idempotent."""
        at = to_micros(now())
        known = runs.outerjoin(expiries, expiries.c.run_id == runs.c.id)
        query = (
            sa.select(runs)
            .select_from(known)
            .where(
                runs.c.pull_number > 0,
                runs.c.closed == "",
                runs.c.repository_id > 0,
                runs.c.installation_id > 0,
                sa.or_(expiries.c.next_at.is_(None), expiries.c.next_at <= at),
            )
            .order_by(expiries.c.next_at, runs.c.id)
            .limit(MOST)
        )
        with self._reads.connect() as connection:
            found = [dict(row) for row in connection.execute(query).mappings()]
        return sum([self._queue(row, at) for row in found])

    def get(self, run_id: str) -> Expiry | None:
        """What is known of the pull request of a run; None: it was not looked at."""
        query = sa.select(expiries).where(expiries.c.run_id == run_id)
        with self._reads.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        at = {name: row[name] for name in ("since", "reminded_at", "closes_at", "next_at")}
        moments = {name: from_micros(each) if each else None for name, each in at.items()}
        return Expiry.model_validate(
            {"run_id": run_id, "state": row["state"], "head": row["head"], **moments}
        )

    def seen(self, run_id: str, head: str, since: datetime) -> None:
        """Note the last commit, and from when on nobody was there."""
        self._change(run_id, head=head, since=to_micros(since))

    def reminded(self, run_id: str, at: datetime, closes_at: datetime) -> None:
        """Note that people were told."""
        self._change(run_id, reminded_at=to_micros(at), closes_at=to_micros(closes_at))

    def look_again(self, run_id: str, at: datetime) -> None:
        """When the next look is due; `NEXT` from now at the latest."""
        self._change(run_id, state="open", next_at=to_micros(min(at, now() + NEXT)))

    def closing(self, run_id: str) -> None:
        """From here on it is closed, whatever crash comes in between."""
        self._change(run_id, state="closing")

    def closed(self, run_id: str) -> None:
        """It is closed, and everybody was told."""
        self._change(run_id, state="closed")

    def begin_anew(self, run_id: str) -> None:
        """It is open again: nobody was reminded, and its time begins now."""
        at = to_micros(now())
        anew = {"state": "open", "head": "", "since": at, "next_at": at}
        self._change(run_id, **anew, reminded_at=None, closes_at=None)

    def _queue(self, run: Mapping[str, Any], at: int) -> bool:
        """Take the turn of a run's pull request, and leave the event that looks at it."""
        lease = at + NEXT // timedelta(microseconds=1)
        insert = dialect_insert(self._database)
        row = {
            "run_id": run["id"], "state": "open", "since": at, "head": "", "next_at": lease,
            "looks": 1,
        }  # fmt: skip
        with self._database.begin() as connection:
            taken = insert_new(connection, insert, expiries, row)
            if not taken:
                turn = sa.update(expiries).where(
                    expiries.c.run_id == run["id"], expiries.c.next_at <= at
                )
                more = {"next_at": lease, "looks": expiries.c.looks + 1}
                taken = connection.execute(turn.values(more)).rowcount > 0
            if not taken:  # another process was first
                return False
            number = sa.select(expiries.c.looks).where(expiries.c.run_id == run["id"])
            looks = connection.execute(number).scalar_one()
            event = ExpiryDue(**source_of_run(run, "expiry"))
            insert_event(connection, check_id_for(f"expiry {run['id']} {looks}"), event, at)
        return True

    def _change(self, run_id: str, **values: object) -> None:
        with self._database.begin() as connection:
            connection.execute(
                sa.update(expiries).where(expiries.c.run_id == run_id).values(values)
            )
