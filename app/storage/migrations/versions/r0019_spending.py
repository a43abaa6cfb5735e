"""What runs cost, and the budgets of single runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Two tables, empty."""
    op.create_table(
        "spending",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("installation_id", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("turns", sa.BigInteger, nullable=False),
    )
    op.create_index("spending_of_months", "spending", ["month", "currency", "repository_id"])
    op.create_table(
        "run_budgets",
        sa.Column("run_id", sa.String(32), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("of_repository", sa.BigInteger, nullable=False),
    )
