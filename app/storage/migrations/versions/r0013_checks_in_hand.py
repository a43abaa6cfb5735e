"""Whether a worker has a check of a repository in hand, so that its deaths can be counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """One column with a default; nothing is rewritten."""
    op.add_column(
        "asks", sa.Column("in_hand", sa.Boolean, nullable=False, server_default=sa.false())
    )
