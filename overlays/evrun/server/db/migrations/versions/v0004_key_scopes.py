"""What a key allows, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Keys from before allowed everything, and keep that."""
    op.add_column(
        "api_keys",
        sa.Column("scope", sa.String(length=16), nullable=False, server_default="admin"),
    )
    op.add_column("api_keys", sa.Column("expires_at", sa.DateTime(timezone=True)))
