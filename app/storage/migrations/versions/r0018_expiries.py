"""When pull requests are looked at that nobody may be looking at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """One table, empty."""
    op.create_table(
        "expiries",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("reminded_at", sa.BigInteger),
        sa.Column("closes_at", sa.BigInteger),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("looks", sa.Integer, nullable=False),
    )
