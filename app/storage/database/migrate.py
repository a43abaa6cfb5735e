"""Migrates the database's tables to this version's schema at every start, with Alembic."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.settings.base import SettingsError

FOLDER = Path(__file__).parents[1] / "migrations"
LOCK = 0x70617463
"""Key of PostgreSQL's advisory lock: of several processes that start at once, one migrates."""


class NewerSchema(SettingsError):
    """A later version of Patchwright has changed the database."""


def migrate(database: sa.Engine) -> None:
    """Bring the tables up to date, in one transaction; several processes may do so at once.

    Raises `NewerSchema` when the database was changed by a later version.
    """
    with database.execution_options(read_only=True).connect() as connection:
        if version(connection) == head():
            return
    with database.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        found = version(connection)
        if found == head():
            return
        if found and found not in known():
            raise NewerSchema(
                f"The database has schema {found}, which this version does not know: a later "
                "version has upgraded it. Run that version, or restore an earlier backup."
            )
        config = _config()
        config.attributes["connection"] = connection
        if not found and (unversioned := _unversioned(connection)):
            command.stamp(config, unversioned)
        command.upgrade(config, "head")


def version(connection: sa.Connection) -> str:
    """The revision that the database is at; empty when it says none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
    return str(found.scalar_one_or_none() or "")


@cache
def head() -> str:
    """The newest revision."""
    return str(_scripts().get_current_head())


@cache
def known() -> frozenset[str]:
    """All revisions."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def _unversioned(connection: sa.Connection) -> str:
    """The revision that tables without a version have; empty when there are no tables."""
    inspector = sa.inspect(connection)
    if not inspector.has_table("runs"):
        return ""
    columns = {column["name"] for column in inspector.get_columns("runs")}
    return "0002" if "round" in columns else "0001"


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config
