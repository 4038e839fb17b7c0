"""Feedback in rows, so that logs can be filtered and sorted by it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql")


BATCH = 1000  # logs


def upgrade() -> None:
    """Create the table and fill it from the logs that are there."""
    table = op.create_table(
        "log_feedback",
        sa.Column("log_id", IDENTIFIER, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["logs.id"], name=op.f("fk_log_feedback_log_id_logs")),
    )
    op.create_index(op.f("ix_log_feedback_log_id"), "log_feedback", ["log_id"])
    logs = sa.table("logs", sa.column("id", sa.String), sa.column("body", sa.JSON))
    connection = op.get_bind()
    query = sa.select(logs.c.id, logs.c.body).order_by(logs.c.id).limit(BATCH)
    last = ""
    while batch := connection.execute(query.where(logs.c.id > last)).all():
        rows = [
            {"log_id": log_id, "type": kind, "label": label}
            for log_id, body in batch
            for kind, label in sorted(_labels(body.get("feedback") or []))
        ]
        if rows:
            connection.execute(sa.insert(table), rows)
        last = batch[-1].id


def _labels(feedback: list[dict[str, Any]]) -> set[tuple[str, str]]:
    newest = {each["type"]: each["value"] for each in sorted(feedback, key=_given_at)}
    return {
        (kind, label if isinstance(label, str) else json.dumps(label))
        for kind, value in newest.items()
        for label in (value if isinstance(value, list) else [value])
    }


def _given_at(feedback: dict[str, Any]) -> datetime:
    at = datetime.fromisoformat(feedback["created_at"])
    return at if at.tzinfo else at.replace(tzinfo=UTC)
