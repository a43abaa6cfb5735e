"""An index to count runs by state: it is done at every scrape."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """No row changes."""
    op.create_index("runs_by_state", "runs", ["status", "outcome", "pull_number", "closed"])
