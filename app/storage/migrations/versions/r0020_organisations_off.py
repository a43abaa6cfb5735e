"""Organisations for which the App is turned off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """One table, empty."""
    op.create_table(
        "organisations_off",
        sa.Column("account", sa.String(100), primary_key=True),
        sa.Column("source", sa.String(16), primary_key=True),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
