"""What became of the pull requests of runs, and when each is looked at again.

A look is an event, kept in the transaction that takes the pull request's turn: so of many workers
one has it looked at, and a crash loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from agent.journal.events import now
from agent.model import Record
from app.github.webhook_events import OutcomeDue
from app.storage.records import check_id_for
from app.storage.run_rows import dialect_insert, insert_event, insert_new, source_of_run
from app.storage.tables import from_micros, pull_outcomes, runs, to_micros

NEXT = timedelta(days=1)
"""When a merged one is looked at again, and any after a look that came to nothing."""
WATCHED = timedelta(days=90)
"""How long after the merge a revert is looked for."""
MOST = 100
"""Pull requests whose turn is taken at a time."""

Kind = Literal["", "untouched", "edited", "merged", "closed"]
"""`merged`: whether with edits or without is not known; empty: not looked at yet."""


class PullOutcome(Record):
    """What became of the pull request of a run."""

    run_id: str
    kind: Kind = ""
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    commit: str = ""
    """The commit of the base branch that has the change; empty: not known."""
    commits: int = 1
    """How many commits of the branch the change is, with that one the last."""
    branch: str = ""
    lines_edited: int = 0
    """Lines that are in what was merged or in what was proven, and not in both."""
    reverted_by: str = ""
    """The commit that took it back; empty: none did."""
    reverted_at: datetime | None = None

    @property
    def is_merged(self) -> bool:
        """Whether it was merged, whatever became of it later."""
        return self.kind in ("untouched", "edited", "merged")

    @property
    def hours(self) -> float | None:
        """From its opening to its end."""
        if self.opened_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.opened_at).total_seconds() / 3600)


class Outcomes:
    """The outcomes in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)

    def get(self, run_id: str) -> PullOutcome | None:
        """What is known of a run's pull request; None: it was not looked at."""
        return self.of_runs([run_id]).get(run_id)

    def of_runs(self, run_ids: Collection[str]) -> dict[str, PullOutcome]:
        """What is known of the pull requests of these runs, by run."""
        query = sa.select(pull_outcomes).where(pull_outcomes.c.run_id.in_(list(run_ids)))
        with self._reads.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return {row["run_id"]: _outcome(dict(row)) for row in rows}

    def counts(self) -> dict[str, int]:
        """How many there are of each kind, those that were reverted later as `reverted`."""
        kind = sa.case((pull_outcomes.c.reverted_by != "", "reverted"), else_=pull_outcomes.c.kind)
        query = sa.select(kind, sa.func.count()).group_by(kind)
        with self._reads.connect() as connection:
            return {str(name): int(number) for name, number in connection.execute(query) if name}

    def queue_due(self) -> int:
        """Have pull requests looked at whose time has come; returns how many. Idempotent."""
        moment = now()
        at, own = to_micros(moment), pull_outcomes.c
        merged_after_all = sa.and_(runs.c.closed == "merged", own.kind == "closed")
        query = (
            sa.select(runs)
            .select_from(runs.outerjoin(pull_outcomes, own.run_id == runs.c.id))
            .where(
                runs.c.pull_number > 0,
                runs.c.closed != "",
                runs.c.repository_id > 0,
                runs.c.installation_id > 0,
                sa.or_(
                    own.next_at <= at,
                    merged_after_all,
                    # Those of before this was counted, unless they are old.
                    sa.and_(own.run_id.is_(None), runs.c.updated_at > to_micros(moment - WATCHED)),
                ),
            )
            .order_by(own.next_at, runs.c.id)
            .limit(MOST)
        )
        with self._reads.connect() as connection:
            found = [dict(row) for row in connection.execute(query).mappings()]
        return sum([self._queue(row, at) for row in found])

    def hurry(self, repository_id: int, branch: str) -> int:
        """A branch has a commit that reverts something: its merges are looked at now."""
        of_repository = sa.select(runs.c.id).where(runs.c.repository_id == repository_id)
        with self._database.begin() as connection:
            changed = connection.execute(
                sa.update(pull_outcomes)
                .where(
                    pull_outcomes.c.run_id.in_(of_repository),
                    pull_outcomes.c.branch == branch,
                    pull_outcomes.c.next_at.is_not(None),
                )
                .values(next_at=to_micros(now()))
            )
            return changed.rowcount

    def keep(self, outcome: PullOutcome) -> None:
        """Note what is known now, and when it is looked at again; never, if nothing can change."""
        values: dict[str, object] = outcome.model_dump(exclude={"run_id"})
        for name in ("opened_at", "ended_at", "reverted_at"):
            at = values[name]
            values[name] = to_micros(at) if isinstance(at, datetime) else None
        values["next_at"] = _next_look(outcome)
        with self._database.begin() as connection:
            connection.execute(
                sa.update(pull_outcomes)
                .where(pull_outcomes.c.run_id == outcome.run_id)
                .values(**values)
            )

    def _queue(self, run: Mapping[str, Any], at: int) -> bool:
        """Take the turn of a run's pull request, and leave the event that looks at it."""
        own, lease = pull_outcomes.c, at + NEXT // timedelta(microseconds=1)
        first = PullOutcome(run_id=run["id"]).model_dump() | {"next_at": lease, "looks": 1}
        insert = dialect_insert(self._database)
        with self._database.begin() as connection:
            if not insert_new(connection, insert, pull_outcomes, first):
                free = sa.or_(own.next_at.is_(None), own.next_at <= at)
                turn = sa.update(pull_outcomes).where(own.run_id == run["id"], free)
                more = {"next_at": lease, "looks": own.looks + 1}
                if connection.execute(turn.values(more)).rowcount <= 0:
                    return False  # another process was first
            looks = connection.execute(
                sa.select(own.looks).where(own.run_id == run["id"])
            ).scalar_one()
            event = OutcomeDue(**source_of_run(run, "outcome"))
            insert_event(connection, check_id_for(f"outcome {run['id']} {looks}"), event, at)
        return True


def _next_look(outcome: PullOutcome) -> int | None:
    moment = now()
    watched = outcome.is_merged and outcome.commit and outcome.ended_at is not None
    if not watched or outcome.ended_at is None or moment > outcome.ended_at + WATCHED:
        return None
    return to_micros(moment + NEXT)


def _outcome(row: Mapping[str, Any]) -> PullOutcome:
    times = ("opened_at", "ended_at", "reverted_at")
    values = {name: row[name] for name in PullOutcome.model_fields if name not in times}
    moments = {name: from_micros(row[name]) if row[name] else None for name in times}
    return PullOutcome.model_validate(values | moments)
