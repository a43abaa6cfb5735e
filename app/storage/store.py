"""Runs, deliveries and journals in a database: `agent.journal.store.Store` on SQLAlchemy.

Safe from several threads and processes. A journal's sequence numbers come from a counter in its
run's row, raised in the same statement that checks the lease: so they have no gaps, and a worker
that lost its run can write nothing.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from agent.errors import LostLease
from agent.journal.events import EVENT, AnyEvent, QuestionAsked, Recorded, RunEnded, now
from agent.journal.store import NO_LOGS, STOPPED_BY_A_PERSON, Answer, Hint
from app.github.records import Repository
from app.github.webhook_events import Trigger
from app.storage import organisations, tables
from app.storage.database import connection as storage_connection
from app.storage.database.group_commit import GroupCommit
from app.storage.notices import KIND_OF_OUTCOME, note_in
from app.storage.questions import Questions, goes_on, has_answer
from app.storage.records import Accepted, Run, RunFilter, RunPage, UnknownRun, run_id_for
from app.storage.run_rows import (
    Insert,
    dialect_insert,
    insert_new,
    insert_run,
    queue_next_round,
    renew_place,
    without_nul,
)
from app.storage.tables import from_micros, to_micros

T = TypeVar("T")

OUTBOX_PART = 200
"""Runs sent to the engine at a time: a long outbox must not block everything else."""


_IN_LINE = ("queued", "waiting")
"""Those that no worker has. The outbox takes one that waits for an answer when its time is over."""

# Each step of each run writes and asks these: they are built and compiled once.
_COUNT_EVENTS = (
    sa.update(tables.runs)
    .where(tables.runs.c.id == sa.bindparam("of_run"))
    .where(tables.runs.c.epoch == sa.bindparam("lease"))
    .values(next_seq=tables.runs.c.next_seq + sa.bindparam("more"), updated_at=sa.bindparam("at"))
    .returning(tables.runs.c.next_seq)
)
_INSERT_EVENTS = sa.insert(tables.events)
_HINTS = (
    sa.select(tables.hints.c.id, tables.hints.c.author, tables.hints.c.text)
    .where(tables.hints.c.run_id == sa.bindparam("of_run"))
    .where(tables.hints.c.id > sa.bindparam("after"))
    .order_by(tables.hints.c.id)
)


def _put_log(insert: Insert) -> sa.Executable:
    statement = insert(tables.logs)
    return statement.on_conflict_do_update(
        index_elements=["run_id", "log_id"], set_={"data": statement.excluded.data}
    )


def _packed(run_id: str, log_id: str, data: bytes) -> dict[str, object]:
    return {"run_id": run_id, "log_id": log_id, "data": zlib.compress(data, 6)}


class SqlStore:
    """Runs and journals in the database at `url`, whose tables are made if they are missing."""

    def __init__(self, url: str) -> None:
        self._database = storage_connection.open_database(url)
        self._reads = self._database.execution_options(read_only=True)
        self._journal = self._database.execution_options(quick=True)
        self._insert = dialect_insert(self._database)
        self._group = GroupCommit(self._database)
        self._put_log = _put_log(self._insert)
        self._leases: Mapping[str, int] = {}
        """The runs that this view may write to, each with the epoch of its claim."""

    @property
    def database(self) -> sa.Engine:
        """The database."""
        return self._database

    def close(self) -> None:
        """Release the connections; the store must not be used afterwards."""
        self._database.dispose()

    # The journal: `agent.journal.store.Store`

    def append(
        self, run_id: str, events: Sequence[AnyEvent], logs: Mapping[str, bytes] = NO_LOGS
    ) -> tuple[Recorded, ...]:
        """Append events and logs in one transaction; on return they are durable.

        A view without a lease may write only while nobody claimed the run.

        Raises `UnknownRun` when there is no such run.
        """
        if not events:
            return ()
        packed = [_packed(run_id, log_id, data) for log_id, data in logs.items()]
        with self._journal.begin() as connection:
            recorded = self._append_events(connection, run_id, events)
            if packed:
                connection.execute(self._put_log, packed)
            return recorded

    def events(self, run_id: str, after: int = -1, limit: int | None = None) -> list[Recorded]:
        """The journal in order, from the event after sequence number `after`.

        At most `limit` of them.
        """
        table = tables.events
        query = (
            sa.select(table.c.seq, table.c.at, table.c.body)
            .where(table.c.run_id == run_id, table.c.seq > after)
            .order_by(table.c.seq)
            .limit(limit)
        )
        with self._reads.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Recorded(seq=seq, at=from_micros(at), event=EVENT.validate_json(body))
            for seq, at, body in rows
        ]

    def newest_of(self, run_id: str, kinds: Collection[str], most: int) -> list[AnyEvent]:
        """The run's newest events of these types, in order; so many at most.

        Events of other types are not read: some hold whole outputs.
        """
        table = tables.events
        # As JSON has it; within a text, its quotes would be escaped.
        of_kind = [table.c.body.contains(f'"type":"{kind}"', autoescape=True) for kind in kinds]
        query = (
            sa.select(table.c.body)
            .where(table.c.run_id == run_id, sa.or_(*of_kind))
            .order_by(table.c.seq.desc())
            .limit(most)
        )
        with self._reads.connect() as connection:
            bodies = connection.execute(query).scalars().all()
        return [EVENT.validate_json(body) for body in reversed(bodies)]

    def put_log(self, run_id: str, log_id: str, data: bytes) -> None:
        """Keep a whole output; the same id again replaces it. Fenced like `append`."""
        packed = _packed(run_id, log_id, data)
        with self._journal.begin() as connection:
            self._update_leased(connection, run_id)
            connection.execute(self._put_log, packed)

    def get_log(self, run_id: str, log_id: str) -> bytes | None:
        """A kept output, or None."""
        query = sa.select(tables.logs.c.data).where(
            tables.logs.c.run_id == run_id, tables.logs.c.log_id == log_id
        )
        with self._reads.connect() as connection:
            packed = connection.execute(query).scalar_one_or_none()
        return None if packed is None else zlib.decompress(packed)

    def logs_of_issue(
        self, repository_id: int, issue_number: int, log_id: str, most: int, *, but: str
    ) -> list[bytes]:
        """What an issue's newest runs kept under this id, all but one run's."""
        runs, logs = tables.runs, tables.logs
        query = (
            sa.select(logs.c.data)
            .join(runs, runs.c.id == logs.c.run_id)
            .where(
                runs.c.repository_id == repository_id,
                runs.c.issue_number == issue_number,
                runs.c.id != but,
                logs.c.log_id == log_id,
            )
            .order_by(runs.c.created_at.desc(), runs.c.id.desc())
            .limit(most)
        )
        with self._reads.connect() as connection:
            return [zlib.decompress(packed) for packed in connection.execute(query).scalars()]

    def stop_reason(self, run_id: str) -> str:
        """Why this run has to stop, as a sentence; empty while it may go on."""
        runs = tables.runs
        query = sa.select(runs.c.stop_requested, runs.c.closed, runs.c.repository)
        with self._reads.connect() as connection:
            row = connection.execute(query.where(runs.c.id == run_id)).one_or_none()
        if row is None:
            return ""
        if not row.stop_requested:
            return organisations.off_reason(self._database, row.repository)
        return f"Its pull request was {row.closed}." if row.closed else STOPPED_BY_A_PERSON

    def hints(self, run_id: str, after: int = 0) -> list[Hint]:
        """Notes from people with an id above `after`, oldest first."""
        with self._reads.connect() as connection:
            rows = connection.execute(_HINTS, {"of_run": run_id, "after": after}).all()
        return [Hint(id=id_, author=author, text=text) for id_, author, text in rows]

    def answer(self, run_id: str, asked: QuestionAsked) -> Answer | None:
        """What was answered, the default once its time has come; None: it is still waited for."""
        return Questions(self._database).answer_to(run_id, asked)

    # What people ask of a run

    def add_hint(self, run_id: str, author: str, text: str, key: str | None = None) -> None:
        """Leave a note for the run; with a `key`, once for that key. Raises `UnknownRun`."""
        row = {
            "run_id": run_id,
            "author": author,
            "text": without_nul(text),
            "at": to_micros(now()),
        }
        with self._database.begin() as connection:
            if not self._exists(connection, run_id):
                raise UnknownRun(run_id)
            statement = self._insert(tables.hints).values(**row, key=key)
            connection.execute(statement.on_conflict_do_nothing())

    def request_stop(self, run_id: str) -> None:
        """Ask the run to stop at its next step. Raises `UnknownRun`."""
        with self._database.begin() as connection:
            statement = sa.update(tables.runs).where(tables.runs.c.id == run_id)
            # One that is held until later, or waits for an answer, has its end now.
            values = {"stop_requested": True, **goes_on(), "held_until": None}
            if connection.execute(statement.values(values)).rowcount == 0:
                raise UnknownRun(run_id)

    # Deliveries and the outbox

    def accept(self, delivery_id: str, event: str, trigger: Trigger, *, model: str) -> Accepted:
        """Keep a delivery and its run in one transaction; on return both are durable.

        The same delivery again gives the run of the first time; a delivery for an issue that has a
        live run is attached to that run.
        """
        return self.in_shared_transaction(
            lambda connection: self.accept_in(connection, delivery_id, event, trigger, model=model)
        )

    def accept_in(
        self, connection: sa.Connection, delivery_id: str, event: str, trigger: Trigger, model: str
    ) -> Accepted:
        """`accept` within a transaction that is open already."""
        run_id = run_id_for(trigger.repository, trigger.issue_number, delivery_id)
        table = tables.deliveries
        # The insert waits for another transaction with the same id, so there is one winner.
        at = to_micros(now())
        delivery = {"id": delivery_id, "event": event, "run_id": run_id, "received_at": at}
        if not insert_new(connection, self._insert, table, delivery):
            seen = sa.select(table.c.run_id).where(table.c.id == delivery_id)
            return Accepted(run_id=connection.execute(seen).scalar_one(), how="duplicate")
        at_github = trigger.repository_id, trigger.repository, trigger.installation_id
        renew_place(connection, *at_github, private=trigger.private)
        accepted = insert_run(
            connection, self._insert, run_id, trigger, delivery_id=delivery_id, model=model
        )
        if accepted.run_id != run_id:
            connection.execute(
                sa.update(table).where(table.c.id == delivery_id).values(run_id=accepted.run_id)
            )
        return accepted

    def renew_place(self, repository: Repository) -> None:
        """Note what GitHub says of a repository: its name, installation and visibility."""
        with self._database.begin() as connection:
            renew_place(
                connection,
                repository.id,
                repository.full_name,
                repository.installation_id,
                private=repository.private,
            )

    def open_pages(self, repository_id: int) -> None:
        """Let the runs of a private time be shown to everybody who may read the repository."""
        table = tables.runs
        with self._database.begin() as connection:
            connection.execute(
                sa.update(table)
                .where(
                    table.c.repository_id == repository_id,
                    table.c.visibility.in_(("private", "asked")),
                )
                .values(visibility="opened")
            )

    def in_shared_transaction(self, write: Callable[[sa.Connection], T]) -> T:
        """Do a write in a transaction that callers share; see `database.group_commit`."""
        return self._group.run(write)

    def unqueued(self, limit: int = OUTBOX_PART) -> list[Run]:
        """Runs that the durable engine was not told about yet: the oldest `limit` of them."""
        table = tables.runs
        return self._runs(
            sa.select(table)
            .where(table.c.enqueued_at.is_(None), table.c.status.in_(_IN_LINE))
            # Held: by whoever handed it back, while its issue is told that it waits, or until the
            # time for an answer is over.
            .where(sa.or_(table.c.held_until.is_(None), table.c.held_until < to_micros(now())))
            .order_by(table.c.created_at, table.c.id)
            .limit(limit)
        )

    def live(self) -> frozenset[str]:
        """Ids of the runs that are not over."""
        query = sa.select(tables.runs.c.id).where(tables.runs.c.live_key.is_not(None))
        with self._reads.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def busy_repositories(self) -> frozenset[int]:
        """Ids of the repositories with runs that are not over."""
        table = tables.runs
        query = sa.select(table.c.repository_id).where(table.c.live_key.is_not(None)).distinct()
        with self._reads.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def running_at(self, owner: str) -> int:
        """How many runs a worker is at."""
        table = tables.runs
        query = sa.select(sa.func.count()).where(
            table.c.owner == owner, table.c.status == "running", table.c.live_key.is_not(None)
        )
        with self._reads.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def not_enqueued(self, run_id: str) -> Run | None:
        """The run if the durable engine still does not know it; lists of such become stale."""
        table = tables.runs
        over = sa.and_(table.c.status == "waiting", table.c.held_until < to_micros(now()))
        in_line = sa.or_(table.c.status == "queued", over)
        found = self._runs(
            sa.select(table).where(table.c.id == run_id, table.c.enqueued_at.is_(None), in_line)
        )
        return found[0] if found else None

    def mark_enqueued(self, run: Run) -> None:
        """Note that the durable engine knows this run in this state, but no later changes."""
        table = tables.runs
        with self._database.begin() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.id == run.id, table.c.enqueued_at.is_(None))
                .where(table.c.round == run.round, table.c.epoch == run.epoch)
                .values(enqueued_at=to_micros(now()))
            )

    # Runs

    def claim(self, run_id: str, owner: str) -> SqlStore:
        """Take the run over: returns a view that may write to it; nobody else may from now on.

        Raises `UnknownRun`.
        """
        at = to_micros(now())
        statement = (
            sa.update(tables.runs)
            .where(tables.runs.c.id == run_id)
            .values(
                owner=owner,
                epoch=tables.runs.c.epoch + 1,
                updated_at=at,
                # Whoever told the engine may not have noted it yet.
                enqueued_at=sa.func.coalesce(tables.runs.c.enqueued_at, at),
            )
            .returning(tables.runs.c.epoch)
        )
        with self._database.begin() as connection:
            epoch = connection.execute(statement).scalar_one_or_none()
        if epoch is None:
            raise UnknownRun(run_id)
        view = copy.copy(self)
        view._leases = {**self._leases, run_id: epoch}
        return view

    def release(self, run_id: str) -> None:
        """Release the run when its worker ends; does nothing if the worker does not have it."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(tables.runs)
                .where(
                    tables.runs.c.id == run_id,
                    tables.runs.c.epoch == self._leases.get(run_id, 0),
                )
                .values(owner="")
            )

    def requeue_later(self, run_id: str, until: datetime | None = None) -> None:
        """The run is no longer active and waits for its turn, not before `until`.

        Raises `LostLease`.
        """
        held = to_micros(until) if until else None
        with self._database.begin() as connection:
            self._update_leased(connection, run_id, status="queued", owner="", held_until=held)

    def wait_for_answer(self, run_id: str, asked: QuestionAsked) -> None:
        """The run is no longer active until it has its answer, or the time for that is over.

        One that was answered already waits for its turn. Raises `LostLease`.
        """
        until = to_micros(asked.due)
        with self._database.begin() as connection:
            # The row is locked from here on: an answer comes before, or sees that it waits.
            self._update_leased(connection, run_id, status="waiting", owner="", held_until=until)
            if has_answer(connection, run_id, asked.number):
                self._update_leased(connection, run_id, **goes_on())

    def requeue(self, run_id: str) -> None:
        """Put a requeued run into the outbox; does nothing for any other."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(tables.runs)
                .where(tables.runs.c.id == run_id, tables.runs.c.status.in_(_IN_LINE))
                .values(enqueued_at=None)
            )

    def holds(self, run_id: str) -> bool:
        """Whether this view still has the run; check before every action visible outside."""
        return self.get_run(run_id).epoch == self._leases.get(run_id, 0)

    def check_lease(self, run_id: str) -> None:
        """Raise `LostLease` unless this view still has the run."""
        if not self.holds(run_id):
            raise LostLease(f"run {run_id} belongs to another worker now")

    def set_running(self, run_id: str) -> None:
        """The run is being worked on. Raises `LostLease`."""
        with self._database.begin() as connection:
            self._update_leased(connection, run_id, status="running")

    def set_pull(self, run_id: str, number: int) -> None:
        """Record the run's pull request, so that comments there find it. Raises `LostLease`."""
        with self._database.begin() as connection:
            self._update_leased(connection, run_id, pull_number=number)

    def finish(self, run_id: str, ended: RunEnded | None) -> bool:
        """The round is over (None: there was nothing to do in it) and its issue may have another.

        When something came in meanwhile the run is queued again, for its next round: True. Raises
        `LostLease`.
        """
        table = tables.runs
        # Of what a night looked at, its report tells.
        unasked = self.get_run(run_id).trigger.by == "schedule"
        kept = {"outcome": ended.outcome, "pull_request": ended.pull_request} if ended else {}
        with self._database.begin() as connection:
            self._update_leased(connection, run_id, status="done", live_key=None, **kept)
            if ended is not None:
                self._append_events(connection, run_id, [ended])
                kind = KIND_OF_OUTCOME.get(ended.outcome)
                if kind and (ended.pull_request or not unasked):
                    said = {"pull_request": ended.pull_request, "words": ended.diagnosis}
                    note_in(connection, self._insert, run_id, kind, **said)
            open_still = sa.and_(table.c.pull_number > 0, table.c.closed == "")
            woken = sa.select(table.c.woken).where(table.c.id == run_id, open_still)
            if not connection.execute(woken).scalar_one_or_none():
                return False
            return queue_next_round(connection, run_id)

    def get_run(self, run_id: str) -> Run:
        """A run. Raises `UnknownRun`."""
        found = self._runs(sa.select(tables.runs).where(tables.runs.c.id == run_id))
        if not found:
            raise UnknownRun(run_id)
        return found[0]

    def list_runs(
        self, filters: RunFilter | None = None, cursor: str = "", limit: int = 50
    ) -> RunPage:
        """Runs, newest first, from the page that `cursor` names. A bad cursor is the first page."""
        table = tables.runs
        query = sa.select(table).order_by(table.c.created_at.desc(), table.c.id.desc())
        for name, value in (filters or RunFilter()).model_dump().items():
            if value:
                query = query.where(table.c[name] == value)
        created, _, last = cursor.partition("_")
        if created.isdecimal() and len(created) < 18:
            key = sa.tuple_(table.c.created_at, table.c.id)
            query = query.where(key < sa.tuple_(sa.literal(int(created)), sa.literal(last)))
        found = self._runs(query.limit(limit + 1))
        if len(found) <= limit:
            return RunPage(runs=tuple(found))
        end = found[limit - 1]
        return RunPage(runs=tuple(found[:limit]), next=f"{to_micros(end.created_at)}_{end.id}")

    def ended_before(self, repository_id: int, run_id: str, most: int) -> list[Run]:
        """A repository's newest runs that ended, except this one."""
        table = tables.runs
        return self._runs(
            sa.select(table)
            .where(
                table.c.repository_id == repository_id,
                table.c.id != run_id,
                table.c.status == "done",
            )
            .order_by(table.c.created_at.desc(), table.c.id.desc())
            .limit(most)
        )

    def count_runs(self) -> dict[tuple[str, str], int]:
        """How many runs there are per status and outcome."""
        table = tables.runs
        query = sa.select(table.c.status, table.c.outcome, sa.func.count()).group_by(
            table.c.status, table.c.outcome
        )
        with self._reads.connect() as connection:
            return {(s, o): n for s, o, n in connection.execute(query)}

    def ping(self) -> None:
        """Check that the database responds; raises what the driver raises."""
        with self._reads.connect() as connection:
            connection.execute(sa.select(1)).scalar_one()

    # Inside

    def _append_events(
        self, connection: sa.Connection, run_id: str, events: Sequence[AnyEvent]
    ) -> tuple[Recorded, ...]:
        at = now()
        counted = {
            "of_run": run_id,
            "lease": self._leases.get(run_id, 0),
            "more": len(events),
            "at": to_micros(at),
        }
        after = connection.execute(_COUNT_EVENTS, counted).scalar_one_or_none()
        if after is None:
            raise self._lease_error(connection, run_id)
        recorded = tuple(
            Recorded(seq=after - len(events) + i, at=at, event=event)
            for i, event in enumerate(events)
        )
        rows = [
            {
                "run_id": run_id,
                "seq": r.seq,
                "at": to_micros(at),
                "body": EVENT.dump_json(r.event).decode(),
            }
            for r in recorded
        ]
        connection.execute(_INSERT_EVENTS, rows)
        return recorded

    def _update_leased(self, connection: sa.Connection, run_id: str, **values: object) -> None:
        """Change the run's row if the lease holds; locks the row until the transaction's end."""
        statement = (
            sa.update(tables.runs)
            .where(tables.runs.c.id == run_id, tables.runs.c.epoch == self._leases.get(run_id, 0))
            .values(updated_at=to_micros(now()), **values)
        )
        if connection.execute(statement).rowcount == 0:
            raise self._lease_error(connection, run_id)

    def _lease_error(self, connection: sa.Connection, run_id: str) -> Exception:
        if self._exists(connection, run_id):
            return LostLease(f"run {run_id} belongs to another worker now")
        return UnknownRun(run_id)

    @staticmethod
    def _exists(connection: sa.Connection, run_id: str) -> bool:
        query = sa.select(tables.runs.c.id).where(tables.runs.c.id == run_id)
        return connection.execute(query).scalar_one_or_none() is not None

    def _runs(self, query: sa.Select[tuple[object, ...]]) -> list[Run]:
        with self._reads.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Run(
                trigger=Trigger.model_validate_json(row["trigger"]).model_copy(
                    # What is known of the repository now.
                    update={name: row[name] for name in ("repository", "installation_id")}
                ),
                created_at=from_micros(row["created_at"]),
                updated_at=from_micros(row["updated_at"]),
                events=row["next_seq"],
                **{name: row[name] for name in _PLAIN},
            )
            for row in rows
        ]


_CONVERTED = {"trigger", "created_at", "updated_at", "events"}
_PLAIN = tuple(name for name in Run.model_fields if name not in _CONVERTED)
