"""Where an ask was said, so that what is said in one place is answered in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Asks of before have no place: they share one, and so keep their order too."""
    op.add_column("asks", sa.Column("place", sa.String(300), nullable=False, server_default=""))
    op.create_index("asks_of_places", "asks", ["place", "received_at"])
