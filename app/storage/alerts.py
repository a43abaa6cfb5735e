"""Alerts of monitoring services: how often each came, and when its issue is to be written.

An alert is known by its source and fingerprint, so however often it comes, it has one issue. That
issue is written now and then only: what comes in between is counted, and told by the next edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from agent.journal.events import now
from agent.model import Record
from app.github.webhook_events import AlertDue
from app.storage.records import alert_id_for, check_id_for
from app.storage.run_rows import dialect_insert, insert_event, insert_new, without_nul
from app.storage.tables import alerts, deliveries, from_micros, to_micros

AlertState = Literal[
    "waiting", "open", "limited", "refused", "unrouted", "resolved", "fixed", "gone"
]
"""`waiting`: its issue is being opened; `limited`: the day's limit of issues was reached;
`refused`: it can have none, for a reason; `unrouted`: the file leads it to no repository.
`resolved`: its source says that it is over; `fixed`: its fix was merged; `gone`: and it is over
since, says a source that looks for itself."""
MOST_NEW = 1000
"""New alerts that a source may bring within a day; more would only fill the database."""
MOST_RELEASES = 20
LIMITED = "The day's limit of issues in the repository is reached."


class UnknownAlert(KeyError):
    """There is no such alert."""


class TooManyAlerts(Exception):
    """The source has brought as many new alerts as it may within a day."""


class KeptAlert(Record):
    """An alert and what became of it."""

    id: str
    source: str
    repository: str
    repository_id: int
    """0 until GitHub was asked."""
    title: str
    report: str
    """What it said last, as JSON; empty while it is to have no issue."""
    state: AlertState
    reason: str
    issue_number: int
    """0: it has none yet."""
    seen: int
    """How often it came."""
    created_at: datetime
    seen_at: datetime
    installation_id: int = 0
    came_back: bool = False
    """It is there again after its fix, and its issue does not say so yet."""
    edits: int = 0
    """How often its issue was written on `day`."""
    day: str = ""
    written_at: datetime | None = None
    opened_at: datetime | None = None
    """When its issue was first asked for."""
    releases: tuple[str, ...] = ()
    """Those it came from before its fix."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An alert that came, where it belongs, and what it says."""

    fingerprint: str
    """Only a hash of it is kept: it may hold a secret."""
    repository: str
    """Empty: the operator's file has no place for it."""
    title: str
    report: str
    is_over: bool = False
    """Its source says that it is resolved."""
    is_measured: bool = False
    """Its source looks for itself whether it is over, and is not told so by people or by us."""
    is_urgent: bool = False
    """It says something that people should see at once."""
    is_regression: bool = False
    """Its source says that it is there again."""
    release: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a delivery's alerts."""

    due: tuple[str, ...]
    """Ids of the events that are now due."""
    beyond: int = 0
    """New alerts that were not taken, for the source may bring no more of them today."""


@dataclass(frozen=True, slots=True)
class EditLimits:
    """How often issues may be opened and written."""

    issues_per_day: int
    """In one repository."""
    edits_per_day: int
    """Of one alert."""
    minutes: float
    """Between two edits of one alert."""


def next_edit(kept: KeptAlert, limits: EditLimits, moment: datetime, *, urgent: bool) -> datetime:
    """When an alert's issue may be written again: now, soon, or on another day."""
    today = f"{moment:%Y-%m-%d}"
    if kept.day == today and kept.edits >= limits.edits_per_day:
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=1)
    if kept.written_at is None or urgent:
        return moment
    return max(moment, kept.written_at + timedelta(minutes=limits.minutes))


class Alerts:
    """Alerts in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)
        self._insert = dialect_insert(database)

    def take(
        self, source: str, delivery_id: str, found: Sequence[Occurrence], limits: EditLimits
    ) -> Taken | None:
        """Count what a delivery brought. None: the delivery was seen before.

        Of a source that has brought too many new alerts today, those that are known are taken, and
        the delivery is not noted as seen: when it comes again, the others may have their place.
        Raises `TooManyAlerts` where nothing of the delivery could be taken.
        """
        moment = now()
        due: list[str] = []
        beyond = 0
        with self._database.begin() as connection:
            row = {"id": delivery_id, "event": f"alert {source}"[:64], "run_id": ""}
            row["received_at"] = to_micros(moment)  # type: ignore[assignment]
            if not insert_new(connection, self._insert, deliveries, row):
                return None
            for number, each in enumerate(found):
                try:
                    event = self._take_one(connection, source, each, limits, moment, number)
                except TooManyAlerts:
                    beyond += 1
                    continue
                if event:
                    due.append(event)
            if found and beyond == len(found):
                raise TooManyAlerts(source)
            if beyond:
                connection.execute(sa.delete(deliveries).where(deliveries.c.id == delivery_id))
        return Taken(tuple(due), beyond)

    def _take_one(
        self,
        connection: sa.Connection,
        source: str,
        came: Occurrence,
        limits: EditLimits,
        moment: datetime,
        number: int,
    ) -> str:
        """Count one alert; the id of the event that has its issue written, if it is due now.

        Raises `TooManyAlerts`, before anything is written.
        """
        alert_id = alert_id_for(source, came.repository, came.fingerprint)
        kept = self._locked(connection, alert_id)
        if kept is None:
            if came.is_over:
                return ""  # nobody was told of it
            self._refuse_too_many(connection, source, moment)
            self._add(connection, alert_id, source, came, moment)
            kept = self._locked(connection, alert_id)
            assert kept is not None
        regressed = not came.is_over and _came_back(kept, came)
        state = _next_state(kept, came, regressed=regressed)
        if state == "waiting" and kept.opened_at is None:
            opened = self._issues_today(connection, came.repository, moment)
            state = "waiting" if opened < limits.issues_per_day else "limited"
        values: dict[str, object] = {
            "title": without_nul(came.title),
            # Whatever gives it an issue later brings a report of its own.
            "report": "" if state in ("unrouted", "limited") else without_nul(came.report),
            "seen_at": to_micros(moment),
            "state": state,
            "reason": LIMITED if state == "limited" else "",
        }
        was_fixed = kept.state in ("fixed", "gone")
        if kept.issue_number and (came.is_regression or (regressed and was_fixed)):
            values["came_back"] = True
        if not came.is_over:
            values["seen"] = alerts.c.seen + 1
            if state != "fixed":
                values["releases"] = _with_release(kept.releases, came.release)
        event = ""
        if state not in ("unrouted", "limited"):
            changes = state != kept.state and kept.state != "waiting"
            at = next_edit(kept, limits, moment, urgent=came.is_urgent or changes)
            values["due_at"] = to_micros(at)
            if at <= moment:
                event = self._queue(connection, kept, came.repository, moment, number)
                values |= _counted(kept, moment)
        connection.execute(sa.update(alerts).where(alerts.c.id == alert_id).values(values))
        return event

    def queue_due(self) -> int:
        """Have issues written whose time has come; returns how many."""
        moment = now()
        query = (
            sa.select(alerts)
            .where(alerts.c.due_at <= to_micros(moment))
            .order_by(alerts.c.due_at)
            .limit(100)
        )
        with self._reads.connect() as connection:
            found = [_kept(row) for row in connection.execute(query)]
        for each in found:
            with self._database.begin() as connection:
                kept = self._locked(connection, each.id, due_before=to_micros(moment))
                if kept is None:  # another process was first
                    continue
                self._queue(connection, kept, kept.repository, moment, 0)
                connection.execute(
                    sa.update(alerts).where(alerts.c.id == kept.id).values(_counted(kept, moment))
                )
        return len(found)

    def get(self, alert_id: str) -> KeptAlert:
        """An alert. Raises `UnknownAlert`."""
        found = self._list(sa.select(alerts).where(alerts.c.id == alert_id))
        if not found:
            raise UnknownAlert(alert_id)
        return found[0]

    def of_issue(self, repository_id: int, issue_number: int) -> KeptAlert | None:
        """The alert that has this issue."""
        found = self._list(
            sa.select(alerts).where(
                alerts.c.repository_id == repository_id, alerts.c.issue_number == issue_number
            )
        )
        return found[0] if found else None

    def newest(self, search: str = "", *, limit: int) -> list[KeptAlert]:
        """Those that came last first; `search` is a part of their repository's name or title."""
        query = sa.select(alerts).order_by(alerts.c.seen_at.desc(), alerts.c.id).limit(limit)
        if search:
            query = query.where(
                alerts.c.repository.icontains(search, autoescape=True)
                | alerts.c.title.icontains(search, autoescape=True)
            )
        return self._list(query)

    def placed(self, alert_id: str, repository_id: int, installation_id: int) -> None:
        """GitHub knows its repository by these ids."""
        self._change(alert_id, repository_id=repository_id, installation_id=installation_id)

    def opened(self, alert_id: str, issue_number: int) -> None:
        """It has this issue now."""
        state = sa.case((alerts.c.state == "waiting", "open"), else_=alerts.c.state)
        self._change(alert_id, issue_number=issue_number, state=state, reason="")

    def told_again(self, alert_id: str) -> None:
        """Its issue says that it is there again."""
        self._change(alert_id, came_back=False)

    def settle(self, alert_id: str, state: AlertState, reason: str = "") -> None:
        """What became of it."""
        self._change(alert_id, state=state, reason=without_nul(reason)[:500])

    def _refuse_too_many(self, connection: sa.Connection, source: str, moment: datetime) -> None:
        since = to_micros(moment - timedelta(days=1))
        query = sa.select(sa.func.count()).where(
            alerts.c.source == source, alerts.c.created_at >= since
        )
        if connection.execute(query).scalar_one() >= MOST_NEW:
            raise TooManyAlerts(source)

    def _issues_today(self, connection: sa.Connection, repository: str, moment: datetime) -> int:
        """Issues that were asked for today in a repository."""
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return int(
            connection.execute(
                sa.select(sa.func.count()).where(
                    sa.func.lower(alerts.c.repository) == repository.lower(),
                    alerts.c.opened_at >= to_micros(midnight),
                )
            ).scalar_one()
        )

    def _add(
        self,
        connection: sa.Connection,
        alert_id: str,
        source: str,
        came: Occurrence,
        moment: datetime,
    ) -> None:
        row = {
            "id": alert_id,
            "source": source,
            "repository": came.repository,
            "repository_id": 0,
            "installation_id": 0,
            "title": without_nul(came.title),
            "report": "",
            "state": "waiting",
            "reason": "",
            "issue_number": 0,
            "seen": 0,
            "edits": 0,
            "day": "",
            "edition": 0,
            "came_back": False,
            "releases": "",
            "created_at": to_micros(moment),
            "seen_at": to_micros(moment),
        }
        # Another process may have added it since it was looked for.
        connection.execute(self._insert(alerts).values(**row).on_conflict_do_nothing())

    def _locked(
        self, connection: sa.Connection, alert_id: str, due_before: int = 0
    ) -> KeptAlert | None:
        """The alert, which nobody else changes until the transaction ends."""
        query = sa.select(alerts).where(alerts.c.id == alert_id)
        if due_before:
            query = query.where(alerts.c.due_at <= due_before)
        row = connection.execute(query.with_for_update()).one_or_none()
        return None if row is None else _kept(row)

    def _queue(
        self,
        connection: sa.Connection,
        kept: KeptAlert,
        repository: str,
        moment: datetime,
        number: int,
    ) -> str:
        """Leave an event that has the issue written, and return its id."""
        edition = connection.execute(
            sa.select(alerts.c.edition).where(alerts.c.id == kept.id)
        ).scalar_one()
        event_id = check_id_for(f"alert {kept.id} {edition + 1}")
        event = AlertDue(
            repository=repository,
            default_branch="",
            archived=False,
            sender=f"alert {kept.source}",
            sender_is_bot=True,
            alert_id=kept.id,
        )
        insert_event(connection, event_id, event, to_micros(moment) + number)
        return event_id

    def _change(self, alert_id: str, **values: object) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.update(alerts).where(alerts.c.id == alert_id).values(**values))

    def _list(self, query: sa.Select[Any]) -> list[KeptAlert]:
        with self._reads.connect() as connection:
            return [_kept(row) for row in connection.execute(query)]


def _next_state(kept: KeptAlert, came: Occurrence, *, regressed: bool) -> AlertState:
    """What an alert is when it comes again; the limit of issues is not looked at."""
    if not came.repository:
        return "unrouted"
    if came.is_over:
        if kept.state == "fixed" and came.is_measured:
            return "gone"
        return kept.state if kept.state in ("fixed", "gone", "limited") else "resolved"
    if kept.state == "fixed" and not regressed:
        return "fixed"  # its fix is not deployed everywhere yet
    return "open" if kept.issue_number else "waiting"


def _came_back(kept: KeptAlert, came: Occurrence) -> bool:
    """Whether an alert is there again after its fix: so says its source, or it was gone, or it came
    from a release from which it never came before."""
    return (
        came.is_regression
        or kept.state == "gone"
        or bool(came.release and _line(came.release) not in kept.releases)
    )


def _with_release(known: tuple[str, ...], release: str) -> str:
    release = _line(release)
    if not release or release in known:
        return "\n".join(known)
    return "\n".join([*known[-MOST_RELEASES + 1 :], release])


def _line(release: str) -> str:
    """A release as it is kept."""
    return " ".join(without_nul(release).split())[:250]


def _counted(kept: KeptAlert, moment: datetime) -> dict[str, object]:
    """The columns of an alert whose issue is about to be written."""
    today = f"{moment:%Y-%m-%d}"
    return {
        "edition": alerts.c.edition + 1,
        "edits": kept.edits + 1 if kept.day == today else 1,
        "day": today,
        "opened_at": to_micros(kept.opened_at or moment),
        "due_at": None,
        "written_at": to_micros(moment),
    }


def _kept(row: Any) -> KeptAlert:
    return KeptAlert(
        id=row.id,
        source=row.source,
        repository=row.repository,
        repository_id=row.repository_id,
        installation_id=row.installation_id,
        came_back=row.came_back,
        title=row.title,
        report=row.report,
        state=row.state,
        reason=row.reason,
        issue_number=row.issue_number,
        seen=row.seen,
        created_at=from_micros(row.created_at),
        seen_at=from_micros(row.seen_at),
        edits=row.edits,
        day=row.day,
        written_at=from_micros(row.written_at) if row.written_at else None,
        opened_at=from_micros(row.opened_at) if row.opened_at else None,
        releases=tuple(row.releases.split("\n")) if row.releases else (),
    )
