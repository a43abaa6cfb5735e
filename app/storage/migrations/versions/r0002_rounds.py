"""Rounds of runs, asks, and what of a conversation was taken up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Columns have defaults in the database, so that rows of the first version get them too."""
    op.add_column("runs", sa.Column("round", sa.Integer, nullable=False, server_default="1"))
    op.add_column("runs", sa.Column("woken", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column(
        "runs", sa.Column("pull_number", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("runs", sa.Column("closed", sa.String(8), nullable=False, server_default=""))
    op.create_index("runs_of_pulls", "runs", ["repository", "pull_number"])
    # The number stands at the end of the address: …/pull/12.
    op.execute(
        "UPDATE runs SET pull_number = CAST(replace(substr(pull_request, "
        "length(rtrim(pull_request, '0123456789')) + 1), '/', '') AS BIGINT) "
        "WHERE pull_request LIKE '%/pull/%' "
        "AND length(rtrim(pull_request, '0123456789')) < length(pull_request)"
    )
    op.add_column("hints", sa.Column("key", sa.String(64)))
    op.create_index("hints_once", "hints", ["key"], unique=True)
    op.create_table(
        "asks",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("enqueued_at", sa.BigInteger),
        sa.Column("answer", sa.Text, nullable=False),
    )
    op.create_index("asks_outbox", "asks", ["enqueued_at"])
    op.create_table(
        "handled",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("remark", sa.String(64), primary_key=True),
        sa.Column("round", sa.Integer, nullable=False),
    )
