"""Schedules, their nights, and what nights found of issues.

Of all processes one begins a night: it sets the schedule's next time and queues the event in one
transaction. Who was away at several of its times begins one night, and goes on from now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from agent.journal.events import now
from app.github.records import ListedRepository
from app.github.webhook_events import (
    NightDue,
    NightOver,
    WebhookEvent,
)
from app.storage.nights.records import (
    Finding,
    KnownSchedule,
    Night,
    PassedOver,
    Picked,
    Triage,
    UnknownNight,
)
from app.storage.records import check_id_for, night_id_for, run_id_for
from app.storage.run_rows import dialect_insert, insert_event, insert_new, insert_run, without_nul
from app.storage.tables import (
    deliveries,
    from_micros,
    nights,
    runs,
    schedules,
    to_micros,
    triages,
)

_PASSED_OVER: TypeAdapter[tuple[PassedOver, ...]] = TypeAdapter(tuple[PassedOver, ...])


class Nights:
    """Schedules and nights in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)
        self._insert = dialect_insert(database)

    # Schedules

    def known(self) -> dict[int, KnownSchedule]:
        """What is known of repositories, by their ids."""
        with self._reads.connect() as connection:
            rows = connection.execute(sa.select(schedules)).all()
        return {
            row.repository_id: KnownSchedule(
                repository_id=row.repository_id,
                seen=row.seen,
                schedule=row.schedule,
                next_at=from_micros(row.next_at) if row.next_at is not None else None,
            )
            for row in rows
        }

    def set_schedule(
        self, place: ListedRepository, seen: str, schedule: str, next_at: datetime | None
    ) -> None:
        """Keep a repository's schedule; with another than before, its next night is then."""
        due = to_micros(next_at) if next_at else None
        values = {
            "installation_id": place.installation_id,
            "repository": place.full_name,
            "private": place.private,
            "seen": seen,
            "schedule": schedule,
        }
        row = {"repository_id": place.id, "next_at": due, **values}
        statement = self._insert(schedules).values(**row)
        same = schedules.c.schedule == schedule
        update = {**values, "next_at": sa.case((same, schedules.c.next_at), else_=due)}
        with self._database.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["repository_id"], set_=update)
            )

    def forget(self, repository_ids: Collection[int]) -> None:
        """These repositories are no longer there for the App: they get no nights."""
        with self._database.begin() as connection:
            for repository_id in repository_ids:
                connection.execute(
                    sa.delete(schedules).where(schedules.c.repository_id == repository_id)
                )

    def begin_due(
        self,
        moment: datetime,
        next_after: Callable[[str, datetime], datetime | None],
        day_of: Callable[[str, datetime], str],
    ) -> int:
        """Begin the nights whose time has come; returns how many.

        `next_after` and `day_of` read a schedule's JSON. Of several times that have passed, one
        night is held.
        """
        query = sa.select(schedules).where(schedules.c.next_at <= to_micros(moment)).limit(100)
        with self._reads.connect() as connection:
            due = connection.execute(query).all()
        return sum(self._begin(row, moment, next_after, day_of) for row in due)

    def _begin(
        self,
        row: sa.Row[Any],
        moment: datetime,
        next_after: Callable[[str, datetime], datetime | None],
        day_of: Callable[[str, datetime], str],
    ) -> bool:
        due_at = from_micros(row.next_at)
        day, following = day_of(row.schedule, due_at), next_after(row.schedule, moment)
        night_id = night_id_for(row.repository_id, day)
        night = {
            "id": night_id,
            "repository_id": row.repository_id,
            "installation_id": row.installation_id,
            "repository": row.repository,
            "private": row.private,
            "day": day,
            "state": "begun",
            "schedule": row.schedule,
            "passed_over": "[]",
            "reason": "",
            "report_issue": 0,
            "due_at": row.next_at,
            "begun_at": to_micros(moment),
        }
        event = NightDue(night_id=night_id, **_source(row))
        with self._database.begin() as connection:
            mine = connection.execute(
                sa.update(schedules)
                .where(
                    schedules.c.repository_id == row.repository_id,
                    schedules.c.next_at == row.next_at,
                )
                .values(next_at=to_micros(following) if following else None)
            ).rowcount
            # Another process was first; or its time was set anew within the day.
            if not mine or not insert_new(connection, self._insert, nights, night):
                return False
            self._queue(connection, check_id_for(f"night {night_id}"), "night_due", event)
        return True

    # Nights

    def get(self, night_id: str) -> Night:
        """A night. Raises `UnknownNight`."""
        found = self._nights(sa.select(nights).where(nights.c.id == night_id))
        if not found:
            raise UnknownNight(night_id)
        return found[0]

    def newest(self, search: str = "", *, limit: int) -> list[Night]:
        """The latest nights first; `search` is a part of their repository's name."""
        query = sa.select(nights).order_by(nights.c.due_at.desc(), nights.c.id).limit(limit)
        if search:
            query = query.where(nights.c.repository.icontains(search, autoescape=True))
        return self._nights(query)

    def last_report_issue(self, repository_id: int) -> int:
        """The issue that the repository's last report was written to; 0: none."""
        numbers = self.report_issues(repository_id)
        return numbers[0] if numbers else 0

    def report_issues(self, repository_id: int) -> list[int]:
        """The issues that reports were written to, the latest first."""
        query = (
            sa.select(nights.c.report_issue)
            .where(nights.c.repository_id == repository_id, nights.c.report_issue > 0)
            .order_by(nights.c.due_at.desc())
        )
        with self._reads.connect() as connection:
            return list(connection.execute(query).scalars())

    def choose(
        self, night_id: str, picked: Sequence[Picked], passed_over: Sequence[PassedOver], model: str
    ) -> list[str]:
        """Start the runs of a night that has begun, all at once; returns their ids.

        Once: whoever comes later, after a crash, changes nothing. An issue on which somebody asked
        for a run meanwhile is left to that.
        """
        with self._database.begin() as connection:
            mine = connection.execute(
                sa.update(nights)
                .where(nights.c.id == night_id, nights.c.state == "begun")
                .values(
                    state="working", passed_over=_PASSED_OVER.dump_json(tuple(passed_over)).decode()
                )
            ).rowcount
            if not mine:
                return []
            started = []
            for each in picked:
                trigger = each.trigger
                run_id = run_id_for(str(trigger.repository_id), trigger.issue_number, night_id)
                accepted = insert_run(
                    connection, self._insert, run_id, trigger, delivery_id=night_id, model=model
                )
                if accepted.run_id == run_id:
                    connection.execute(sa.insert(triages).values(_new(night_id, run_id, each)))
                    started.append(run_id)
            return started

    def queue_over(self) -> int:
        """Have reports written of nights whose runs have all ended; returns how many."""
        live = (
            sa.select(triages.c.run_id)
            .join(runs, runs.c.id == triages.c.run_id)
            .where(triages.c.night_id == nights.c.id, runs.c.live_key.is_not(None))
        )
        query = sa.select(nights).where(nights.c.state == "working", ~live.exists()).limit(100)
        with self._reads.connect() as connection:
            found = connection.execute(query).all()
        count = 0
        for row in found:
            event = NightOver(night_id=row.id, **_source(row))
            with self._database.begin() as connection:
                mine = connection.execute(
                    sa.update(nights)
                    .where(nights.c.id == row.id, nights.c.state == "working")
                    .values(state="over", ended_at=to_micros(now()))
                ).rowcount
                if mine:
                    self._queue(connection, check_id_for(f"report {row.id}"), "night_over", event)
                    count += 1
        return count

    def reported(self, night_id: str, issue_number: int, reason: str = "") -> None:
        """The report is written, to an issue if not 0; `reason`: what is to be said besides."""
        values: dict[str, object] = {"state": "reported", "report_issue": issue_number}
        if reason:
            values["reason"] = without_nul(reason)
        self._change(nights.c.id == night_id, **values)

    def set_report_issue(self, night_id: str, issue_number: int) -> None:
        """The report is written to this issue."""
        self._change(nights.c.id == night_id, report_issue=issue_number)

    def fail(self, night_id: str, why: str) -> None:
        """The night could not be held."""
        self._change(
            sa.and_(nights.c.id == night_id, nights.c.state == "begun"),
            state="failed",
            reason=without_nul(why),
            ended_at=to_micros(now()),
        )

    # Issues

    def triages_of(self, night_id: str) -> list[Triage]:
        """What a night found, by the issues' numbers."""
        return self._triages(triages.c.night_id == night_id)

    def counts(self, night_ids: Collection[str]) -> dict[str, dict[Finding, int]]:
        """How many issues each of these nights found to be what."""
        table = triages
        query = (
            sa.select(table.c.night_id, table.c.finding, sa.func.count())
            .where(table.c.night_id.in_(list(night_ids)))
            .group_by(table.c.night_id, table.c.finding)
        )
        counted: dict[str, dict[Finding, int]] = {}
        with self._reads.connect() as connection:
            for night_id, finding, count in connection.execute(query):
                counted.setdefault(night_id, {})[finding] = count
        return counted

    def of_run(self, run_id: str) -> Triage | None:
        """What a run looks at for a night; None: it is none of a night's."""
        found = self._triages(triages.c.run_id == run_id)
        return found[0] if found else None

    def looked_at(self, repository_id: int) -> Mapping[int, Triage]:
        """What the latest night found of each issue of a repository."""
        found = self._triages(triages.c.repository_id == repository_id, order=triages.c.at)
        return {each.issue_number: each for each in found}

    def asked_before(self, repository_id: int, issue_number: int, run_id: str) -> bool:
        """Whether another run asked the issue for what it lacks."""
        query = sa.select(triages.c.run_id).where(
            triages.c.repository_id == repository_id,
            triages.c.issue_number == issue_number,
            triages.c.run_id != run_id,
            triages.c.asked.is_(True),
        )
        with self._reads.connect() as connection:
            return connection.execute(query.limit(1)).scalar_one_or_none() is not None

    def asked_for_runs(self, repository_id: int) -> frozenset[int]:
        """Issues on which anything but a night asked for a run."""
        of_nights = sa.select(triages.c.run_id).where(triages.c.run_id == runs.c.id)
        query = sa.select(runs.c.issue_number).where(
            runs.c.repository_id == repository_id, ~of_nights.exists()
        )
        with self._reads.connect() as connection:
            return frozenset(connection.execute(query.distinct()).scalars())

    def with_pull_requests(self, repository_id: int) -> frozenset[int]:
        """Issues for which a night's run opened a pull request."""
        query = sa.select(runs.c.issue_number).where(
            runs.c.repository_id == repository_id, runs.c.pull_number > 0
        )
        with self._reads.connect() as connection:
            return frozenset(connection.execute(query.distinct()).scalars())

    def found(self, run_id: str, **values: object) -> None:
        """Keep what a run found."""
        clean = {k: without_nul(v) if isinstance(v, str) else v for k, v in values.items()}
        with self._database.begin() as connection:
            connection.execute(sa.update(triages).where(triages.c.run_id == run_id).values(**clean))

    def unchanged(self, run_id: str, changed_at: datetime) -> None:
        """What changed about its issue until then was nobody's word but the App's."""
        self.found(run_id, changed_at=to_micros(changed_at))

    # Inside

    def _queue(
        self, connection: sa.Connection, event_id: str, name: str, event: WebhookEvent
    ) -> None:
        at = to_micros(now())
        delivery = {"id": event_id, "event": name, "run_id": "", "received_at": at}
        if insert_new(connection, self._insert, deliveries, delivery):
            insert_event(connection, event_id, event, at)

    def _change(self, where: sa.ColumnElement[bool], **values: object) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.update(nights).where(where).values(**values))

    def _nights(self, query: sa.Select[Any]) -> list[Night]:
        with self._reads.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Night(
                **{
                    **row,
                    "passed_over": _PASSED_OVER.validate_json(row["passed_over"]),
                    "due_at": from_micros(row["due_at"]),
                    "begun_at": from_micros(row["begun_at"]),
                    "ended_at": from_micros(row["ended_at"]) if row["ended_at"] else None,
                }
            )
            for row in rows
        ]

    def _triages(
        self, *where: sa.ColumnElement[bool], order: sa.ColumnElement[Any] = triages.c.issue_number
    ) -> list[Triage]:
        query = (
            sa.select(triages, runs.c.pull_request)
            .join(runs, runs.c.id == triages.c.run_id, isouter=True)
            .where(*where)
            .order_by(order, triages.c.run_id)
        )
        with self._reads.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Triage(
                **{
                    **row,
                    "changed_at": from_micros(row["changed_at"]),
                    "at": from_micros(row["at"]),
                    "pull_request": row["pull_request"] or "",
                }
            )
            for row in rows
        ]


def _source(row: sa.Row[Any]) -> dict[str, Any]:
    """Where a night is, and that nobody in particular asked for it."""
    return {
        "installation_id": row.installation_id,
        "repository": row.repository,
        "repository_id": row.repository_id,
        "default_branch": "",
        "archived": False,
        "sender": "",
        "sender_is_bot": True,
        "private": row.private,
    }


def _new(night_id: str, run_id: str, picked: Picked) -> dict[str, object]:
    trigger = picked.trigger
    return {
        "run_id": run_id,
        "night_id": night_id,
        "repository_id": trigger.repository_id,
        "issue_number": trigger.issue_number,
        "title": without_nul(trigger.issue_title),
        "finding": "",
        "words": "",
        "duplicate_of": 0,
        "commit_id": "",
        "digest": "",
        "changed_at": to_micros(picked.changed_at),
        "asked": False,
        "tokens": 0,
        "seconds": 0,
        "at": to_micros(now()),
    }
