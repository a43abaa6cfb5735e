"""When a repository's onboarding came into its state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """One column with a default; nothing is rewritten."""
    op.add_column(
        "onboarding", sa.Column("changed_at", sa.BigInteger, nullable=False, server_default="0")
    )
