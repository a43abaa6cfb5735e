"""Schedules of repositories, their nights, and what nights found of issues."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Three tables, empty."""
    op.create_table(
        "schedules",
        sa.Column("repository_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("installation_id", sa.BigInteger, nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("private", sa.Boolean, nullable=False),
        sa.Column("seen", sa.String(100), nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("next_at", sa.BigInteger),
    )
    op.create_index("schedules_due", "schedules", ["next_at"])
    op.create_table(
        "nights",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("installation_id", sa.BigInteger, nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("private", sa.Boolean, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("passed_over", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("report_issue", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("nights_newest", "nights", ["due_at", "id"])
    op.create_index("nights_of_repositories", "nights", ["repository_id", "due_at"])
    op.create_index("nights_by_state", "nights", ["state"])
    op.create_table(
        "triages",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("night_id", sa.String(32), nullable=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("issue_number", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("finding", sa.String(16), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("duplicate_of", sa.BigInteger, nullable=False),
        sa.Column("commit_id", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("asked", sa.Boolean, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("triages_of_nights", "triages", ["night_id", "issue_number"])
    op.create_index("triages_of_issues", "triages", ["repository_id", "issue_number", "at"])
