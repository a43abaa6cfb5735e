"""Organisations for which the App is turned off: by the operator, or by their own file.

What is read here holds runs in hand at once, in every process; the organisation's file is read
again before anything begins (`app.repo_config.effective`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from agent.journal.events import now
from agent.model import Record
from app.storage import audit
from app.storage.questions import goes_on
from app.storage.run_rows import dialect_insert, insert_new, without_nul
from app.storage.tables import from_micros, organisations_off, runs, to_micros

Source = Literal["operator", "file"]
LONGEST_REASON = 500


class OffSwitch(Record):
    """An organisation, and who turned the App off for it."""

    account: str
    """Its login, in lower case."""
    source: Source
    by: str
    reason: str
    """A sentence."""
    at: datetime


class Place(Record):
    """A repository of an organisation in which there was a run."""

    installation_id: int
    repository: str
    repository_id: int


def account_of(repository: str) -> str:
    """The account of `owner/name`, as the switches name it."""
    return repository.partition("/")[0].casefold()


def turn_off(database: sa.Engine, account: str, source: Source, by: str, reason: str) -> bool:
    """Turn the App off for an account; False where this source had done so before.

    Runs that wait for an answer look at once whether they still have to.
    """
    row = {
        "account": account.casefold(),
        "source": source,
        "by": without_nul(by)[:128],
        "reason": without_nul(reason)[:LONGEST_REASON],
        "at": to_micros(now()),
    }
    of_account = sa.func.lower(runs.c.repository).startswith(f"{row['account']}/", autoescape=True)
    with database.begin() as connection:
        if not insert_new(connection, dialect_insert(database), organisations_off, row):
            return False
        waiting = sa.update(runs).where(of_account, runs.c.live_key.is_not(None))
        connection.execute(waiting.values({**goes_on(), "held_until": None}))
        audit.record_in(connection, by, "organisation off", str(row["account"]), reason)
    return True


def turn_on(database: sa.Engine, account: str, source: Source, by: str) -> bool:
    """Take back what this source has turned off; False where it has not."""
    name = account.casefold()
    known = sa.and_(organisations_off.c.account == name, organisations_off.c.source == source)
    with database.begin() as connection:
        if not connection.execute(sa.delete(organisations_off).where(known)).rowcount:
            return False
        audit.record_in(connection, by, "organisation on", name)
    return True


def off_reason(database: sa.Engine, repository: str) -> str:
    """Why nothing is done in a repository's organisation, in a sentence; empty: it is not off."""
    query = (
        sa.select(organisations_off.c.reason)
        .where(organisations_off.c.account == account_of(repository))
        .order_by(organisations_off.c.source.desc())
    )
    with database.execution_options(read_only=True).connect() as connection:
        return str(connection.execute(query.limit(1)).scalar_one_or_none() or "")


def all_off(database: sa.Engine) -> list[OffSwitch]:
    """Every organisation that is off, by name."""
    query = sa.select(organisations_off).order_by(
        organisations_off.c.account, organisations_off.c.source
    )
    with database.execution_options(read_only=True).connect() as connection:
        rows = connection.execute(query).mappings().all()
    return [OffSwitch.model_validate({**row, "at": from_micros(row["at"])}) for row in rows]


def known_accounts(database: sa.Engine) -> list[str]:
    """The accounts whose repositories had runs, as they are called, by name."""
    query = sa.select(runs.c.repository).distinct()
    with database.execution_options(read_only=True).connect() as connection:
        names = {name.partition("/")[0] for name in connection.execute(query).scalars()}
    return sorted({name.casefold(): name for name in sorted(names)}.values(), key=str.casefold)


def places_to_ask(database: sa.Engine) -> dict[str, Place]:
    """Accounts with runs that are not over, or that their own file has turned off.

    Each with a repository by which its file can be read.
    """
    columns = (runs.c.installation_id, runs.c.repository, runs.c.repository_id)
    live = sa.select(*columns).where(runs.c.live_key.is_not(None))
    off = sa.select(organisations_off.c.account).where(organisations_off.c.source == "file")
    with database.execution_options(read_only=True).connect() as connection:
        found = list(connection.execute(live).mappings())
        for account in connection.execute(off).scalars():
            of_account = sa.func.lower(runs.c.repository).startswith(f"{account}/", autoescape=True)
            newest = sa.select(*columns).where(of_account).order_by(runs.c.created_at.desc())
            found += connection.execute(newest.limit(1)).mappings()
    return {account_of(row["repository"]): Place.model_validate(dict(row)) for row in found}
