"""Lists of one repository, and of all repositories, without a walk over every run."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Two indexes; nothing is rewritten."""
    op.create_index("runs_of_repository", "runs", ["repository", "created_at", "id"])
    op.create_index("runs_of_places", "runs", ["repository", "installation_id"])
