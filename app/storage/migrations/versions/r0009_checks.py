"""What a check of a repository found, kept until its report is told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """One column with a default; nothing is rewritten."""
    op.add_column("asks", sa.Column("found", sa.Text, nullable=False, server_default=""))
