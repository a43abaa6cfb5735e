"""Comments that the App wrote: GitHub's lists may be seconds old."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """One table, empty: comments of before are found in GitHub's lists."""
    op.create_table(
        "comments",
        sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("issue_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("marker", sa.String(300), primary_key=True),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.Column("comment_id", sa.BigInteger, nullable=False),
    )
    op.create_index("comments_by_age", "comments", ["begun_at"])
