"""What became of pull requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """One table, empty: those that ended lately are looked at by and by."""
    op.create_table(
        "pull_outcomes",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("opened_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("commit", sa.String(64), nullable=False),
        sa.Column("commits", sa.Integer, nullable=False),
        sa.Column("branch", sa.String(255), nullable=False),
        sa.Column("lines_edited", sa.BigInteger, nullable=False),
        sa.Column("reverted_by", sa.String(64), nullable=False),
        sa.Column("reverted_at", sa.BigInteger),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("looks", sa.Integer, nullable=False),
    )
    op.create_index("pull_outcomes_due", "pull_outcomes", ["next_at"])
