"""Indexes by which what refers to a run, an evaluatee or a log is found, to delete it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes."""
    op.create_index(op.f("ix_logs_run_id"), "logs", ["run_id"])
    op.create_index(op.f("ix_logs_evaluatee_id"), "logs", ["evaluatee_id"])
    has_parent = sa.text("parent_id IS NOT NULL")
    op.create_index(
        op.f("ix_logs_parent_id"),
        "logs",
        ["parent_id"],
        sqlite_where=has_parent,
        postgresql_where=has_parent,
    )
