"""Repositories that are proposed a configuration: whose turn it is, and what became of it.

A repository is known by GitHub's id for it, so neither another name nor another installation gets
it a second proposal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from agent.journal.events import now
from agent.model import Record
from app.github.webhook_events import Installed, OnboardingDue
from app.storage import audit
from app.storage.records import check_id_for
from app.storage.run_rows import dialect_insert, insert_event, without_nul
from app.storage.tables import deliveries, from_micros, onboarding, runs, to_micros

OnboardingState = Literal["waiting", "working", "proposed", "enabled", "closed", "skipped"]
"""`waiting` for its turn; `working`: the pull request is being made; `proposed`: it is open.
`enabled`: the repository has settings, or was worked for before; `closed`: left alone for good;
`skipped`: there is nothing to propose to it, or no way."""
HELD_BACK = ("waiting", "working", "proposed")
"""States in which nothing else is done in a repository without settings."""
_BUSY = ("working", "proposed")


class Onboarding(Record):
    """A repository and its proposal."""

    repository_id: int
    account_id: int
    installation_id: int
    repository: str
    """`owner/name` as last known."""
    state: OnboardingState
    pull_number: int
    """0: there is none."""
    reason: str
    """Why it is skipped or enabled without a pull request."""
    created_at: datetime
    changed_at: datetime | None = None
    """When it came into its state; None: not known."""


def is_held_back(found: Onboarding, *, on: bool) -> bool:
    """Whether a repository without settings of its own is left alone. `on`: the setting."""
    return found.state == "closed" or (on and found.state in HELD_BACK)


class Onboardings:
    """Proposals in the database. `at_once` is how many of one account may be under way."""

    def __init__(self, database: sa.Engine, at_once: int) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)
        self._at_once = at_once

    def installed(self, delivery_id: str, event_name: str, event: Installed) -> list[str] | None:
        """Take in the repositories of an installation; ids of the events that are now due.

        What is known of one stays: only one that was skipped is looked at again. None: the
        delivery was seen before.
        """
        insert, at = dialect_insert(self._database), to_micros(now())
        with self._database.begin() as connection:
            self._lock(connection, event.account_id)
            seen = insert(deliveries).values(
                id=delivery_id, event=event_name, run_id="", received_at=at
            )
            statement = seen.on_conflict_do_nothing().returning(deliveries.c.id)
            if connection.execute(statement).scalar_one_or_none() is None:
                return None
            for number, repository in enumerate(event.repositories):
                worked_for = connection.execute(
                    sa.select(runs.c.id).where(runs.c.repository_id == repository.id).limit(1)
                ).scalar_one_or_none()
                row = insert(onboarding).values(
                    repository_id=repository.id,
                    account_id=event.account_id,
                    installation_id=event.installation_id,
                    repository=repository.full_name,
                    state="enabled" if worked_for else "waiting",
                    turns=0,
                    pull_number=0,
                    reason="worked for before" if worked_for else "",
                    created_at=at + number,
                    changed_at=at,
                )
                was_skipped = onboarding.c.state == "skipped"
                again = sa.case((was_skipped, "waiting"), else_=onboarding.c.state)
                known = {
                    "changed_at": sa.case((was_skipped, at), else_=onboarding.c.changed_at),
                    "account_id": event.account_id,
                    "installation_id": event.installation_id,
                    "repository": repository.full_name,
                    "state": again,
                }
                connection.execute(
                    row.on_conflict_do_update(index_elements=["repository_id"], set_=known)
                )
            audit.record_in(
                connection,
                event.sender,
                "installed the App",
                f"account {event.account_id}",
                f"{len(event.repositories)} repositories, delivery {delivery_id}",
            )
            return self._next_turns(connection, event.account_id)

    def get(self, repository_id: int) -> Onboarding | None:
        """What is known of a repository's proposal; None: it was never to get one."""
        return self._one(onboarding.c.repository_id == repository_id)

    def newest(self, name: str = "", *, limit: int) -> list[Onboarding]:
        """The repositories with this in their names, the latest installed first."""
        query = (
            sa.select(onboarding)
            .where(onboarding.c.repository.icontains(name, autoescape=True))
            .order_by(onboarding.c.created_at.desc(), onboarding.c.repository_id)
            .limit(limit)
        )
        with self._reads.connect() as connection:
            return [_onboarding(row) for row in connection.execute(query)]

    def of_pull(self, repository_id: int, number: int) -> Onboarding | None:
        """The proposal that is this pull request."""
        found = self.get(repository_id)
        return found if found is not None and number and found.pull_number == number else None

    def proposed(self, repository_id: int, number: int) -> None:
        """Its pull request is open."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(onboarding)
                .where(onboarding.c.repository_id == repository_id)
                .values(state="proposed", pull_number=number, changed_at=to_micros(now()))
            )

    def settle(
        self,
        repository_id: int,
        state: Literal["enabled", "closed", "skipped"],
        reason: str = "",
        *,
        pull_number: int = 0,
    ) -> None:
        """It is over with this repository, and another's turn. Idempotent."""
        found = self.get(repository_id)
        if found is None or (found.state, found.reason) == (state, reason):
            return
        values: dict[str, object] = {"state": state, "reason": without_nul(reason)[:500]}
        values["changed_at"] = to_micros(now())
        if pull_number:
            values["pull_number"] = pull_number
        with self._database.begin() as connection:
            self._lock(connection, found.account_id)
            connection.execute(
                sa.update(onboarding)
                .where(onboarding.c.repository_id == repository_id)
                .values(**values)
            )
            said = f"{state}: {reason}" if reason else state
            audit.record_in(connection, "patchwright", "onboarding", found.repository, said)
            self._next_turns(connection, found.account_id)

    def _next_turns(self, connection: sa.Connection, account_id: int) -> list[str]:
        """Let as many begin as there is room for; the ids of their events."""
        at = to_micros(now())
        of_account = onboarding.c.account_id == account_id
        busy = connection.execute(
            sa.select(sa.func.count()).where(of_account, onboarding.c.state.in_(_BUSY))
        ).scalar_one()
        due = connection.execute(
            sa.select(onboarding)
            .where(of_account, onboarding.c.state == "waiting")
            .order_by(onboarding.c.created_at, onboarding.c.repository_id)
            .limit(max(0, self._at_once - busy))
        ).all()
        begun: list[str] = []
        for row in due:
            event_id = check_id_for(f"onboarding {row.repository_id} {row.turns + 1}")
            event = OnboardingDue(
                installation_id=row.installation_id,
                repository=row.repository,
                repository_id=row.repository_id,
                default_branch="",
                archived=False,
                sender="patchwright",
                sender_is_bot=True,
            )
            insert_event(connection, event_id, event, at + len(begun))
            connection.execute(
                sa.update(onboarding)
                .where(onboarding.c.repository_id == row.repository_id)
                .values(state="working", turns=row.turns + 1, changed_at=at)
            )
            begun.append(event_id)
        return begun

    def _lock(self, connection: sa.Connection, account_id: int) -> None:
        """Two transactions must not count the same room; SQLite has one writer anyway."""
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(account_id)))

    def _one(self, where: sa.ColumnElement[bool]) -> Onboarding | None:
        with self._reads.connect() as connection:
            row = connection.execute(sa.select(onboarding).where(where)).one_or_none()
        return None if row is None else _onboarding(row)


def _onboarding(row: Any) -> Onboarding:
    return Onboarding(
        repository_id=row.repository_id,
        account_id=row.account_id,
        installation_id=row.installation_id,
        repository=row.repository,
        state=row.state,
        pull_number=row.pull_number,
        reason=row.reason,
        created_at=from_micros(row.created_at),
        changed_at=from_micros(row.changed_at) if row.changed_at else None,
    )
