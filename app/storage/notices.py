"""What people are to be told of runs: noted with what happened, and sent after it.

A notice is written in the transaction of what it tells of, under a key of its own: so none is lost
in a crash, and none is there twice. Sending is at least once: who dies after it sends again, under
the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from agent.journal.events import Outcome, now
from agent.model import Record
from app.storage import tables
from app.storage.tables import from_micros, notice_sends, notices, to_micros

NoticeKind = Literal[
    "queued", "needs_you", "proven", "draft", "failed", "near_budget", "over_budget", "test"
]
KIND_OF_OUTCOME: dict[Outcome, NoticeKind] = {
    "proven": "proven",
    "draft": "draft",
    "diagnosis": "needs_you",
    "failed": "failed",
}
"""A run that somebody stopped is told to nobody: they know."""
KEEP_TRYING = timedelta(days=1)
"""Nobody needs to hear of something later than this."""
LEASE = timedelta(minutes=2)
"""How long a process may take to send all that it took, one after the other on each channel, with
15 s for each; then another tries."""
TAKEN_AT_ONCE = 7
LONGEST_WORDS = 4_000


class Notice(Record):
    """Something that people are to be told."""

    id: str
    """The same whenever it is sent."""
    kind: NoticeKind
    run_id: str
    """Empty: of no run."""
    repository: str
    issue_number: int
    title: str
    """Of the issue."""
    pull_request: str
    """Its address; empty: there is none."""
    words: str
    """What the run says at its end; may have code in it."""
    at: datetime


class Sending(Record):
    """A notice that is due on a channel, in the hands of this process."""

    notice: Notice
    channel: str
    tries: int
    """With this one."""


def note_in(
    connection: sa.Connection,
    insert: Callable[[sa.Table], Any],
    run_id: str,
    kind: NoticeKind,
    *,
    key: str = "",
    pull_request: str = "",
    words: str = "",
) -> None:
    """Note something about a run within a transaction that is open already; once for each key.

    The key is within the run and its round. Of a run that is not there, nothing is noted.
    """
    runs = tables.runs
    row = connection.execute(
        sa.select(runs.c.repository, runs.c.issue_number, runs.c.title, runs.c.round).where(
            runs.c.id == run_id
        )
    ).one_or_none()
    if row is None:
        return
    values = {
        "id": f"{run_id}-{row.round}-{key or kind}"[:100],
        "kind": kind,
        "run_id": run_id,
        "repository": row.repository,
        "issue_number": row.issue_number,
        "title": row.title,
        "pull_request": pull_request,
        "words": words[:LONGEST_WORDS].replace("\0", ""),
        "at": to_micros(now()),
        "shared_out": False,
    }
    connection.execute(insert(notices).values(**values).on_conflict_do_nothing())


def note_over_budget(database: sa.Engine, insert: Callable[[sa.Table], Any], limit: int) -> None:
    """Note that the installation has used today's tokens; once a day."""
    note_budget(
        database,
        insert,
        f"over_budget-{now():%Y-%m-%d}",
        used_up=True,
        repository="",
        title=f"Today's {limit:,} tokens are used; runs continue at 0:00 UTC",
    )


def note_budget(
    database: sa.Engine,
    insert: Callable[[sa.Table], Any],
    key: str,
    *,
    used_up: bool,
    repository: str,
    title: str,
) -> bool:
    """Note once under this key that a budget is nearly or wholly used up; whether that is new.

    `repository` is empty for a budget of more than one.
    """
    known = sa.select(notices.c.id).where(notices.c.id == key)
    with database.execution_options(read_only=True).connect() as connection:
        if connection.execute(known).scalar_one_or_none() is not None:
            return False
    values = {
        "id": key,
        "kind": "over_budget" if used_up else "near_budget",
        "run_id": "",
        "repository": repository,
        "issue_number": 0,
        "title": title,
        "pull_request": "",
        "words": "",
        "at": to_micros(now()),
        "shared_out": False,
    }
    with database.begin() as connection:
        row = insert(notices).values(**values).on_conflict_do_nothing().returning(notices.c.id)
        return connection.execute(row).scalar_one_or_none() is not None


class Notices:
    """Notices in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)

    def share_out(self, channels_of: Callable[[Notice], Sequence[str]]) -> int:
        """Note on which channels new notices are to be sent; returns how many sendings there are.

        What is older than a day is told to nobody.
        """
        moment, count = now(), 0
        query = sa.select(notices).where(notices.c.shared_out.is_(False)).limit(100)
        with self._reads.connect() as connection:
            found = [_notice(row) for row in connection.execute(query)]
        for notice in found:
            late = notice.at < moment - KEEP_TRYING
            names = () if late else dict.fromkeys(channels_of(notice))
            with self._database.begin() as connection:
                mine = connection.execute(
                    sa.update(notices)
                    .where(notices.c.id == notice.id, notices.c.shared_out.is_(False))
                    .values(shared_out=True)
                ).rowcount
                if not mine:  # another process was first
                    continue
                for name in names:
                    row = {"notice_id": notice.id, "channel": name, "state": "due", "tries": 0}
                    row |= {"next_at": to_micros(moment), "why": ""}
                    connection.execute(sa.insert(notice_sends).values(**row))
                    count += 1
        return count

    def take_due(self, most: int = TAKEN_AT_ONCE) -> list[Sending]:
        """Take sendings that are due in hand; nobody else has them for a while."""
        moment = now()
        query = (
            sa.select(notice_sends, notices)
            .join(notices, notices.c.id == notice_sends.c.notice_id)
            .where(notice_sends.c.state == "due", notice_sends.c.next_at <= to_micros(moment))
            .order_by(notice_sends.c.next_at, notices.c.at)
            .limit(most)
        )
        with self._reads.connect() as connection:
            rows = connection.execute(query).all()
        taken = []
        for row in rows:
            with self._database.begin() as connection:
                mine = connection.execute(
                    sa.update(notice_sends)
                    .where(
                        notice_sends.c.notice_id == row.notice_id,
                        notice_sends.c.channel == row.channel,
                        notice_sends.c.state == "due",
                        notice_sends.c.next_at == row.next_at,
                    )
                    .values(next_at=to_micros(moment + LEASE), tries=row.tries + 1)
                ).rowcount
            if mine:
                notice = _notice(row)
                taken.append(Sending(notice=notice, channel=row.channel, tries=row.tries + 1))
        return taken

    def sent(self, sending: Sending) -> None:
        """It was taken by its receiver."""
        self._change(sending, state="sent", why="")

    def failed(self, sending: Sending, why: str, again_in: timedelta | None) -> bool:
        """It was not; tried again after a time, or not at all. Whether it is tried again."""
        at = now() + (again_in or timedelta())
        goes_on = again_in is not None and at < sending.notice.at + KEEP_TRYING
        state = "due" if goes_on else "given up"
        self._change(sending, state=state, why=why[:500], next_at=to_micros(at))
        return goes_on

    def states(self, notice_id: str) -> dict[str, str]:
        """How far a notice is on each of its channels: due, sent, given up."""
        query = sa.select(notice_sends.c.channel, notice_sends.c.state).where(
            notice_sends.c.notice_id == notice_id
        )
        with self._reads.connect() as connection:
            return {row.channel: row.state for row in connection.execute(query)}

    def _change(self, sending: Sending, **values: object) -> None:
        with self._database.begin() as connection:
            connection.execute(
                sa.update(notice_sends)
                .where(
                    notice_sends.c.notice_id == sending.notice.id,
                    notice_sends.c.channel == sending.channel,
                )
                .values(**values)
            )


def _notice(row: Any) -> Notice:
    return Notice(
        id=row.id,
        kind=row.kind,
        run_id=row.run_id,
        repository=row.repository,
        issue_number=row.issue_number,
        title=row.title,
        pull_request=row.pull_request,
        words=row.words,
        at=from_micros(row.at),
    )
