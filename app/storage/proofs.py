"""Proofs of pull requests that others wrote: which are asked for, under way, and what they say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from agent.journal.events import now
from agent.model import Record
from agent.proving.records import ProofVerdict
from app.storage.run_rows import dialect_insert, insert_new, without_nul
from app.storage.tables import from_micros, proofs, to_micros

ProofState = Literal["queued", "working", "done", "cancelled"]
AskedBy = Literal["label", "command", "settings", "rerun", "merge_queue"]
LIVE = ("queued", "working")
LIMIT_PERIOD = timedelta(days=1)
BUT_REPORTS = [column for column in proofs.c if column is not proofs.c.report]
"""What is read of many proofs: a report may have megabytes."""


class UnknownProof(KeyError):
    """There is no such proof."""


class Proof(Record):
    """A proof of one change, from its being asked for to its result."""

    id: str
    repository_id: int
    installation_id: int
    repository: str
    """`owner/name` when it was asked for."""
    private: bool
    """Whether the repository was, then."""
    pull_number: int
    """0: of a merge group."""
    title: str
    """Untrusted."""
    author: str
    """Who opened the pull request."""
    author_is_bot: bool
    asked_by: AskedBy
    sender: str
    """Who did what asked for it."""
    base_branch: str
    base_sha: str = ""
    """Where the change begins; of a pull request, empty until the proof begins."""
    head_sha: str
    trees: str = ""
    """Git's ids of the trees before and after the change; empty until the proof begins."""
    state: ProofState = "queued"
    verdict: ProofVerdict | Literal[""] = ""
    """Empty: there is none (yet)."""
    reason: str = ""
    """Why it was cancelled or could not be made, what it lacks, or whose proof it took over."""
    report: str = ""
    """The whole `agent.proving.records.ChangeProof` as JSON; empty without a verdict."""
    created_at: datetime
    begun_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is still to be made."""
        return self.state in LIVE


class Proofs:
    """Proofs in the database."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database
        self._reads = database.execution_options(read_only=True)

    def ask(self, proof: Proof) -> list[Proof]:
        """Keep a proof that is asked for; returns those of the pull request that it replaces.

        They are cancelled. Idempotent, but for what it returns.
        """
        replaced = sa.and_(
            proofs.c.repository_id == proof.repository_id,
            proofs.c.pull_number == proof.pull_number,
            proofs.c.id != proof.id,
            proofs.c.state.in_(LIVE),
            # One that is refused is no answer for the same commit.
            sa.true() if proof.is_live else proofs.c.head_sha != proof.head_sha,
        )
        times = ("created_at", "begun_at", "ended_at")
        row = proof.model_dump(exclude=set(times))
        row |= {name: _micros(getattr(proof, name)) for name in times}
        row["title"] = without_nul(proof.title)
        with self._database.begin() as connection:
            if not insert_new(connection, dialect_insert(self._database), proofs, row):
                return []
            # Names and installations change: the newest word counts for all.
            place = {name: row[name] for name in ("repository", "installation_id")}
            same = proofs.c.repository_id == proof.repository_id
            connection.execute(sa.update(proofs).where(same).values(**place))
            if not proof.pull_number or proof.state == "cancelled":
                return []
            older = connection.execute(sa.select(proofs.c.id).where(replaced)).scalars().all()
            why = f"Commit {proof.head_sha[:12]} took its place."
            connection.execute(sa.update(proofs).where(replaced).values(**_cancelled(why)))
        return [self.get(proof_id) for proof_id in older]

    def get(self, proof_id: str) -> Proof:
        """A proof. Raises `UnknownProof`."""
        found = self._select(sa.select(proofs).where(proofs.c.id == proof_id))
        if not found:
            raise UnknownProof(proof_id)
        return found[0]

    def why_not_live(self, proof_id: str) -> str:
        """Why a proof is not to be made any more; empty: it is still to be made."""
        found = self.get(proof_id)
        return "" if found.is_live else found.reason or found.state

    def live(self) -> frozenset[str]:
        """Ids of all proofs that are still to be made."""
        query = sa.select(proofs.c.id).where(proofs.c.state.in_(LIVE))
        with self._reads.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def busy_repositories(self) -> frozenset[int]:
        """Ids of the repositories with such."""
        query = sa.select(proofs.c.repository_id).where(proofs.c.state.in_(LIVE)).distinct()
        with self._reads.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def of_pull(self, repository_id: int, number: int) -> list[Proof]:
        """All proofs of a pull request without their reports, newest first."""
        return self._select(
            sa.select(*BUT_REPORTS)
            .where(proofs.c.repository_id == repository_id, proofs.c.pull_number == number)
            .order_by(proofs.c.created_at.desc(), proofs.c.id.desc())
        )

    def of_group(self, repository_id: int, head_sha: str) -> list[Proof]:
        """All proofs of a merge group, without their reports."""
        return self._select(
            sa.select(*BUT_REPORTS).where(
                proofs.c.repository_id == repository_id,
                proofs.c.pull_number == 0,
                proofs.c.head_sha == head_sha,
            )
        )

    def any_of(self, repository_id: int) -> bool:
        """Whether anything was ever to be proven in a repository."""
        query = sa.select(proofs.c.id).where(proofs.c.repository_id == repository_id).limit(1)
        with self._reads.connect() as connection:
            return connection.execute(query).scalar_one_or_none() is not None

    def asked_lately(
        self, *, repository_id: int = 0, installation_id: int = 0, but: str = ""
    ) -> int:
        """How many proofs were asked for within a day, in a repository or an installation.

        What was refused, or cancelled before its turn, does not count.
        """
        column, value = (
            (proofs.c.repository_id, repository_id)
            if repository_id
            else (proofs.c.installation_id, installation_id)
        )
        query = sa.select(sa.func.count()).where(
            column == value,
            proofs.c.created_at > to_micros(now() - LIMIT_PERIOD),
            sa.or_(proofs.c.state.in_(LIVE), proofs.c.begun_at.is_not(None)),
            proofs.c.id != but,
        )
        with self._reads.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def begin(self, proof_id: str) -> bool:
        """A worker makes it now; False where it is not to be made any more."""
        begun = sa.func.coalesce(proofs.c.begun_at, to_micros(now()))
        return self._change_live(proof_id, state="working", begun_at=begun)

    def hand_back(self, proof_id: str) -> None:
        """The worker that makes it lets go of it. What is left in work was left by a death."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(proofs)
                .where(proofs.c.id == proof_id, proofs.c.state == "working")
                .values(state="queued")
            )

    def place(self, proof_id: str, base_sha: str, trees: str) -> None:
        """Between which commits and trees the change lies."""
        self._change_live(proof_id, base_sha=base_sha, trees=trees)

    def finish(
        self,
        proof_id: str,
        verdict: ProofVerdict | Literal[""],
        *,
        report: str = "",
        reason: str = "",
    ) -> bool:
        """Keep the result, or why there is none; False where it was cancelled meanwhile."""
        return self._change_live(
            proof_id,
            state="done",
            verdict=verdict,
            report=without_nul(report),
            reason=without_nul(reason),
            ended_at=to_micros(now()),
        )

    def cancel(self, proof_id: str, reason: str) -> bool:
        """It is not to be made any more; False where it was made already, or cancelled."""
        return self._change_live(proof_id, **_cancelled(reason))

    def same_change(self, proof: Proof) -> Proof | None:
        """The newest proof that the same change in the same repository is proven by."""
        found = self._select(
            sa.select(proofs)
            .where(
                proofs.c.repository_id == proof.repository_id,
                proofs.c.trees == proof.trees,
                proofs.c.trees != "",
                proofs.c.verdict == "proven",
                proofs.c.id != proof.id,
            )
            .order_by(proofs.c.created_at.desc())
            .limit(1)
        )
        return found[0] if found else None

    def _change_live(self, proof_id: str, **values: object) -> bool:
        with self._database.begin() as connection:
            changed = connection.execute(
                sa.update(proofs)
                .where(proofs.c.id == proof_id, proofs.c.state.in_(LIVE))
                .values(**values)
            )
        return changed.rowcount > 0

    def _select(self, query: sa.Select[Any]) -> list[Proof]:
        with self._reads.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [as_proof(row) for row in rows]


def as_proof(row: sa.RowMapping) -> Proof:
    """A proof from its row."""
    times = ("created_at", "begun_at", "ended_at")
    return Proof(
        **{name: value for name, value in row.items() if name not in times},
        created_at=from_micros(row["created_at"]),
        begun_at=from_micros(row["begun_at"]) if row["begun_at"] else None,
        ended_at=from_micros(row["ended_at"]) if row["ended_at"] else None,
    )


def _cancelled(reason: str) -> dict[str, object]:
    return {"state": "cancelled", "reason": without_nul(reason), "ended_at": to_micros(now())}


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)
