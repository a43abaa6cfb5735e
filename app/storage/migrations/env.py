"""What Alembic runs: the revisions, on the connection and in the transaction that it is given."""

from __future__ import annotations

from alembic import context

from app.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite's drivers begin transactions late by themselves; this engine begins them before DDL.
    transactional_ddl=True,
)
context.run_migrations()
