"""When a run was let begin, so that limits can tell it from those that wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Runs of before that are in work are counted by their age alone, as those that wait are."""
    op.add_column("runs", sa.Column("begun_at", sa.BigInteger))
    op.add_column("runs", sa.Column("held_until", sa.BigInteger))
