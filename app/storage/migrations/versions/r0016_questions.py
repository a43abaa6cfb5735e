"""Questions that runs ask, and their answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """One table, empty."""
    op.create_table(
        "questions",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("issue_number", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("comment_id", sa.BigInteger, nullable=False),
        sa.Column("option", sa.Integer),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
    )
    op.create_index("questions_of_issues", "questions", ["repository_id", "issue_number"])
