"""Webhook events, kept until they are answered, and the runs that they concern.

Beside `app.storage.store`, on the same database: the store keeps runs and journals, the inbox what
comes in from outside.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import sqlalchemy as sa

from agent.journal.events import now
from app.github.webhook_events import (
    WEBHOOK_EVENT,
    IssueClosed,
    PullEnded,
    Pushed,
    Reviewed,
    Trigger,
    WebhookEvent,
    WorkflowEnded,
)
from app.storage import tables
from app.storage.questions import Questions
from app.storage.records import Accepted, run_id_for
from app.storage.run_rows import (
    dialect_insert,
    insert_event,
    insert_new,
    insert_run,
    live_key,
    queue_next_round,
    renew_place,
    without_nul,
)
from app.storage.tables import to_micros

Request = Literal["rerun", "publish"]
"""`rerun`: the re-run button of the proof; `publish`: another try to push a kept change."""


class UnknownEvent(KeyError):
    """There is no such event."""


class Inbox:
    """Events and their runs in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)
        self._insert = dialect_insert(database)

    # Events (table `asks`)

    def keep(self, delivery_id: str, event_name: str, event: WebhookEvent) -> bool:
        """Keep a delivery and its event in one transaction; False when it was kept before."""
        with self._database.begin() as connection:
            at = to_micros(now())
            delivery = {"id": delivery_id, "event": event_name, "run_id": "", "received_at": at}
            if not insert_new(connection, self._insert, tables.deliveries, delivery):
                return False
            renew_place(
                connection,
                event.repository_id,
                event.repository,
                event.installation_id,
                private=event.private,
            )
            insert_event(connection, delivery_id, event, at)
        return True

    def get(self, event_id: str) -> WebhookEvent:
        """An event. Raises `UnknownEvent`."""
        query = sa.select(tables.asks.c.body).where(tables.asks.c.id == event_id)
        with self._reads.connect() as connection:
            body = connection.execute(query).scalar_one_or_none()
        if body is None:
            raise UnknownEvent(event_id)
        return WEBHOOK_EVENT.validate_json(body)

    def unqueued(self) -> list[str]:
        """Events that the durable engine was not told about yet, oldest first."""
        table = tables.asks
        query = (
            sa.select(table.c.id).where(table.c.enqueued_at.is_(None)).order_by(table.c.received_at)
        )
        with self._reads.connect() as connection:
            return list(connection.execute(query).scalars())

    def mark_enqueued(self, event_id: str) -> None:
        """The durable engine knows this event."""
        self._change(tables.asks, tables.asks.c.id == event_id, enqueued_at=to_micros(now()))

    def mark_answered(self, event_id: str, answer: str) -> None:
        """What was done about it, in words."""
        self._change(tables.asks, tables.asks.c.id == event_id, answer=without_nul(answer))

    def answer_of(self, event_id: str) -> str:
        """What was done about it; empty while it is open."""
        query = sa.select(tables.asks.c.answer).where(tables.asks.c.id == event_id)
        with self._reads.connect() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def keep_found(self, event_id: str, found: str) -> None:
        """Keep what was found out for an event, before it is told."""
        self._change(tables.asks, tables.asks.c.id == event_id, found=without_nul(found))

    def found_for(self, event_id: str) -> str:
        """What was found out for an event; empty: nothing yet."""
        query = sa.select(tables.asks.c.found).where(tables.asks.c.id == event_id)
        with self._reads.connect() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def take_in_hand(self, event_id: str) -> bool:
        """A worker begins long work for an event; whether one that died had it in hand before."""
        table = tables.asks
        query = sa.select(table.c.in_hand).where(table.c.id == event_id)
        with self._database.begin() as connection:
            before = connection.execute(query).scalar_one_or_none()
            connection.execute(sa.update(table).where(table.c.id == event_id).values(in_hand=True))
        return bool(before)

    def hand_back(self, event_id: str) -> None:
        """The worker lets go of an event: it is done with it, or is ended in good order."""
        self._change(tables.asks, tables.asks.c.id == event_id, in_hand=False)

    def open_checks(self, repository_id: int = 0) -> list[str]:
        """Ids of the checks that are not answered, of one repository or of all."""
        table = tables.asks
        place = f"{repository_id}#check"
        at = table.c.place == place if repository_id else table.c.place.endswith("#check")
        query = sa.select(table.c.id).where(table.c.answer == "", at)
        with self._reads.connect() as connection:
            return list(connection.execute(query).scalars())

    def open_events(self) -> list[str]:
        """Unhandled events, oldest first."""
        table = tables.asks
        query = sa.select(table.c.id).where(table.c.answer == "").order_by(table.c.received_at)
        with self._reads.connect() as connection:
            return list(connection.execute(query).scalars())

    def due(self, event_id: str) -> list[str]:
        """Unhandled events of the same issue or pull request up to this one, in order.

        The engine may come to a later one first: deliveries that are under way together are told
        to it as it happens.
        """
        table = tables.asks
        this = sa.select(table.c.place, table.c.received_at, table.c.id).where(
            table.c.id == event_id
        )
        with self._reads.connect() as connection:
            found = connection.execute(this).one_or_none()
            if found is None:
                raise UnknownEvent(event_id)
            order = sa.tuple_(table.c.received_at, table.c.id)
            query = (
                sa.select(table.c.id)
                .where(
                    table.c.place == found.place,
                    table.c.answer == "",
                    order <= sa.tuple_(sa.literal(found.received_at), sa.literal(found.id)),
                )
                .order_by(table.c.received_at, table.c.id)
            )
            return list(connection.execute(query).scalars())

    def is_relevant(self, event: WebhookEvent) -> bool:
        """Whether an event is about a pull request or a question of ours, without asking GitHub."""
        if isinstance(event, PullEnded) and (self._is_proposal(event) or self._is_proven(event)):
            return True
        if isinstance(event, Pushed) and event.reverts and self._has_watched(event):
            return True
        table = tables.runs
        match event:
            case IssueClosed():
                at = event.repository_id, event.issue_number
                return Questions(self._database).open_at(*at) is not None
            case WorkflowEnded():
                about: sa.ColumnElement[bool] = table.c.pull_number.in_(event.pulls)
            case Reviewed() | PullEnded():
                about = table.c.pull_number == event.pull_number
            case Pushed():
                about = sa.and_(table.c.pull_number > 0, table.c.closed == "")
            case _:
                return True
        query = (
            sa.select(table.c.id)
            .where(table.c.repository_id == event.repository_id, about)
            .limit(1)
        )
        with self._reads.connect() as connection:
            return connection.execute(query).scalar_one_or_none() is not None

    def _is_proposal(self, event: PullEnded) -> bool:
        table = tables.onboarding
        query = sa.select(table.c.repository_id).where(
            table.c.repository_id == event.repository_id,
            table.c.pull_number == event.pull_number,
        )
        with self._reads.connect() as connection:
            return connection.execute(query).scalar_one_or_none() is not None

    def _has_watched(self, event: Pushed) -> bool:
        """Whether a pull request of ours was merged into the branch, and is watched still."""
        runs, outcomes = tables.runs, tables.pull_outcomes
        return bool(
            self._first(
                sa.select(runs.c.id)
                .join(outcomes, outcomes.c.run_id == runs.c.id)
                .where(
                    runs.c.repository_id == event.repository_id,
                    outcomes.c.branch == event.branch,
                    outcomes.c.next_at.is_not(None),
                )
            )
        )

    def _is_proven(self, event: PullEnded) -> bool:
        table = tables.proofs
        query = sa.select(table.c.id).where(
            table.c.repository_id == event.repository_id,
            table.c.pull_number == event.pull_number,
        )
        return bool(self._first(query))

    def known_deliveries(self, delivery_ids: Collection[str]) -> frozenset[str]:
        """Those of these deliveries that were kept."""
        table = tables.deliveries
        query = sa.select(table.c.id).where(table.c.id.in_(list(delivery_ids)))
        with self._reads.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    # The runs that events concern

    def start(self, event_id: str, trigger: Trigger, *, model: str) -> Accepted:
        """The run that this event starts, or its issue's live run. Idempotent."""
        run_id = run_id_for(trigger.repository, trigger.issue_number, event_id)
        with self._database.begin() as connection:
            return insert_run(
                connection, self._insert, run_id, trigger, delivery_id=event_id, model=model
            )

    def live_run(self, repository_id: int, issue_number: int) -> str:
        """The issue's live run; empty when there is none."""
        key = live_key(repository_id, issue_number)
        query = sa.select(tables.runs.c.id).where(tables.runs.c.live_key == key)
        with self._reads.connect() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def searching_run(self, repository_id: int, issue_number: int) -> str:
        """The issue's live run if it only looks for the commit that broke it; else empty."""
        key = live_key(repository_id, issue_number)
        query = sa.select(tables.runs.c.id, tables.runs.c.trigger).where(
            tables.runs.c.live_key == key
        )
        with self._reads.connect() as connection:
            row = connection.execute(query).one_or_none()
        found = row is not None and Trigger.model_validate_json(row.trigger).goal == "culprit"
        return str(row.id) if row is not None and found else ""

    def latest_run(self, repository_id: int, issue_number: int) -> str:
        """The issue's newest run, live or not; empty when there was none."""
        table = tables.runs
        return self._first(
            sa.select(table.c.id)
            .where(table.c.repository_id == repository_id, table.c.issue_number == issue_number)
            .order_by(table.c.created_at.desc(), table.c.id.desc())
        )

    def has_runs(self, repository_id: int) -> bool:
        """Whether the App ever worked for this repository."""
        runs = tables.runs
        return bool(self._first(sa.select(runs.c.id).where(runs.c.repository_id == repository_id)))

    def run_before(self, repository_id: int, issue_number: int, run_id: str) -> str:
        """The issue's newest run except this one; empty when there is none."""
        table = tables.runs
        return self._first(
            sa.select(table.c.id)
            .where(
                table.c.repository_id == repository_id,
                table.c.issue_number == issue_number,
                table.c.id != run_id,
            )
            .order_by(table.c.created_at.desc(), table.c.id.desc())
        )

    def run_of_pull(self, repository_id: int, number: int) -> str:
        """The run whose pull request this is; empty when it is not ours."""
        table = tables.runs
        return self._first(
            sa.select(table.c.id).where(
                table.c.repository_id == repository_id, table.c.pull_number == number
            )
        )

    def runs_with_open_pulls(self, repository_id: int) -> list[str]:
        """Runs whose pull requests are open, as far as is known."""
        table = tables.runs
        query = sa.select(table.c.id).where(
            table.c.repository_id == repository_id,
            table.c.pull_number > 0,
            table.c.closed == "",
        )
        with self._reads.connect() as connection:
            return list(connection.execute(query).scalars())

    def wake(self, run_id: str) -> bool:
        """Have the run look at its pull request again, in another round.

        At once if it is done (True: it has to be queued), else when its current round ends; never
        if its pull request is closed.
        """
        table = tables.runs
        with self._database.begin() as connection:
            marked = connection.execute(
                sa.update(table)
                .where(table.c.id == run_id, table.c.closed == "")
                .values(woken=True)
            )
            return marked.rowcount > 0 and queue_next_round(connection, run_id)

    def close(self, run_id: str, how: Literal["merged", "closed"]) -> None:
        """The run's pull request is no longer open; an active round is stopped."""
        table = tables.runs
        self._change(table, table.c.id == run_id, closed=how, stop_requested=True)

    def reopen(self, run_id: str) -> None:
        """The run's pull request, which was closed, is open again."""
        table = tables.runs
        closed = sa.and_(table.c.id == run_id, table.c.closed == "closed")
        self._change(table, closed, closed="", stop_requested=False)

    def mark_handled(self, run_id: str, number: int, keys: Collection[str]) -> None:
        """Note that a round handles these comments, so that no later one does."""
        rows = [{"run_id": run_id, "remark": r, "round": number} for r in sorted(keys)]
        if rows:
            statement = self._insert(tables.handled)
            update = statement.on_conflict_do_update(
                index_elements=["run_id", "remark"], set_={"round": statement.excluded.round}
            )
            with self._database.begin() as connection:
                connection.execute(update, rows)

    def handled_before(self, run_id: str, before: int) -> dict[str, int]:
        """Remarks with the round that deals with them, of the rounds before this one."""
        table = tables.handled
        query = sa.select(table.c.remark, table.c.round).where(
            table.c.run_id == run_id, table.c.round < before, table.c.round > 0
        )
        with self._reads.connect() as connection:
            return {row.remark: row.round for row in connection.execute(query)}

    def request(self, run_id: str, kind: Request, event_id: str) -> None:
        """Leave a request that is nowhere to be read at GitHub, for the run's next round."""
        key = f"{kind}:{event_id}"[:64]
        row = {"run_id": run_id, "remark": key, "round": 0}
        with self._database.begin() as connection:
            statement = self._insert(tables.handled).values(**row)
            connection.execute(statement.on_conflict_do_nothing())

    def requested(self, run_id: str, kind: Request, number: int) -> list[str]:
        """Keys of the requests that no round before this one handled."""
        table = tables.handled
        query = sa.select(table.c.remark).where(
            table.c.run_id == run_id,
            table.c.remark.startswith(f"{kind}:"),
            table.c.round.in_((0, number)),
        )
        with self._reads.connect() as connection:
            return sorted(connection.execute(query).scalars())

    def _first(self, query: sa.Select[tuple[str]]) -> str:
        with self._reads.connect() as connection:
            found = connection.execute(query.limit(1)).scalar_one_or_none()
        return str(found or "")

    def _change(self, table: sa.Table, where: sa.ColumnElement[bool], **values: object) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.update(table).where(where).values(**values))
