"""What logs and projects are found by: feedback in rows, and text without case in columns."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IDENTIFIER = sa.String(length=128).with_variant(sa.String(length=128, collation="C"), "postgresql")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


BATCH = 1000  # logs


def upgrade() -> None:
    """Create the table and the columns, and fill them from the logs and projects that are there."""
    feedback = op.create_table(
        "log_feedback",
        sa.Column("log_id", IDENTIFIER, nullable=False),
        sa.Column("type", WORDS, nullable=False),
        sa.Column("label", WORDS, nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["logs.id"], name=op.f("fk_log_feedback_log_id_logs")),
    )
    op.create_index(op.f("ix_log_feedback_log_id"), "log_feedback", ["log_id"])
    for table, column in (
        ("projects", "searchable"),
        ("logs", "searchable"),
        ("logs", "searchable_metadata"),
    ):
        op.add_column(table, sa.Column(column, WORDS, nullable=False, server_default=""))
    connection = op.get_bind()
    _fill_projects(connection)
    _fill_logs(connection, feedback)


def _fill_projects(connection: sa.Connection) -> None:
    projects = sa.table("projects", *map(sa.column, ("id", "name", "searchable")))
    for project_id, name in connection.execute(sa.select(projects.c.id, projects.c.name)).all():
        connection.execute(
            sa.update(projects).where(projects.c.id == project_id).values(searchable=_fold([name]))
        )


def _fill_logs(connection: sa.Connection, feedback: sa.Table) -> None:
    logs = sa.table(
        "logs",
        sa.column("id", sa.String),
        sa.column("body", sa.JSON),
        sa.column("searchable"),
        sa.column("searchable_metadata"),
    )
    query = sa.select(logs.c.id, logs.c.body).order_by(logs.c.id).limit(BATCH)
    last = ""
    while batch := connection.execute(query.where(logs.c.id > last)).all():
        for log_id, body in batch:
            connection.execute(
                sa.update(logs)
                .where(logs.c.id == log_id)
                .values(
                    searchable=_fold([*_texts(body.get("inputs")), body.get("output") or ""]),
                    searchable_metadata=_fold(_texts(body.get("metadata"), names=True)),
                )
            )
            rows = [
                {"log_id": log_id, "type": kind, "label": label}
                for kind, label in sorted(_labels(body.get("feedback") or []))
            ]
            if rows:
                connection.execute(sa.insert(feedback), rows)
        last = batch[-1].id


def _fold(texts: Iterable[str]) -> str:
    return unicodedata.normalize("NFC", "\n".join(texts).casefold())


def _texts(value: Any, *, names: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if names:
                yield name
            yield from _texts(each, names=names)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, names=names)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


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
