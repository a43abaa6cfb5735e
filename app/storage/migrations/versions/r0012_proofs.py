"""Proofs of other people's pull requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """One table, empty."""
    op.create_table(
        "proofs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("installation_id", sa.BigInteger, nullable=False),
        sa.Column("repository", sa.String(255), nullable=False),
        sa.Column("private", sa.Boolean, nullable=False),
        sa.Column("pull_number", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("author_is_bot", sa.Boolean, nullable=False),
        sa.Column("asked_by", sa.String(16), nullable=False),
        sa.Column("sender", sa.String(100), nullable=False),
        sa.Column("base_branch", sa.String(255), nullable=False),
        sa.Column("base_sha", sa.String(64), nullable=False),
        sa.Column("head_sha", sa.String(64), nullable=False),
        sa.Column("trees", sa.String(130), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("begun_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
    )
    op.create_index("proofs_newest", "proofs", ["created_at", "id"])
    op.create_index("proofs_of_pulls", "proofs", ["repository_id", "pull_number", "created_at"])
    op.create_index("proofs_by_state", "proofs", ["state"])
    op.create_index("proofs_of_installations", "proofs", ["installation_id", "created_at"])
