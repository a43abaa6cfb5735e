"""Alerts of monitoring services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """One table, empty."""
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("installation_id", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("issue_number", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("edits", sa.Integer, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("edition", sa.Integer, nullable=False),
        sa.Column("came_back", sa.Boolean, nullable=False),
        sa.Column("releases", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("written_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
    )
    op.create_index("alerts_newest", "alerts", ["seen_at", "id"])
    op.create_index("alerts_of_issues", "alerts", ["repository_id", "issue_number"])
    op.create_index("alerts_due", "alerts", ["due_at"])
    op.create_index("alerts_of_sources", "alerts", ["source", "created_at"])
