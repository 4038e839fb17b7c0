"""The tables, in SQLAlchemy Core: the same in SQLite and PostgreSQL.

Ids sort by age (see `identifiers`), so that they serve as keys and as the stable order of pages.
What is queried is a column; what is only given back stands in JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    text,
)

if TYPE_CHECKING:
    from sqlalchemy import Dialect

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Bytewise comparison everywhere: PostgreSQL's default collations do not sort ids by age.
Identifier = String(128).with_variant(String(128, collation="C"), "postgresql")
IdempotencyKey = String(255).with_variant(String(255, collation="C"), "postgresql")
Json = JSON(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware outside, UTC in the database (SQLite keeps no offset)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        if value is None:
            return None
        utc = value if value.tzinfo is UTC else value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


PlainText = Text().with_variant(Text(collation="C"), "postgresql")
"""A text, compared bytewise. PostgreSQL cannot keep U+0000 in it: see `store/texts.py`."""


def _id() -> Column[str]:
    return Column("id", Identifier, primary_key=True)


def _to(
    table: str, *, name: str | None = None, optional: bool = False, primary: bool = False
) -> Column[str]:
    """Return a column that refers to `table`'s id: `project_id` for `projects`."""
    return Column(
        name or f"{table[:-1]}_id",
        Identifier,
        ForeignKey(f"{table}.id"),
        nullable=optional,
        primary_key=primary,
    )


def _created() -> Column[datetime]:
    return Column("created_at", UtcDateTime, nullable=False)


def _updated() -> Column[datetime]:
    return Column("updated_at", UtcDateTime, nullable=False)


organisations = Table(
    "organisations",
    METADATA,
    _id(),
    Column("name", PlainText, nullable=False, unique=True),
    _created(),
)

api_keys = Table(
    "api_keys",
    METADATA,
    _id(),
    _to("organisations"),
    Column("name", PlainText, nullable=False),
    Column("hint", String(16), nullable=False),  # the first characters, to tell keys apart
    Column("sha256", String(64), nullable=False, unique=True),  # of the key, which is kept nowhere
    _created(),
    Column("revoked_at", UtcDateTime),
    Column("scope", String(16), nullable=False, server_default="admin"),
    Column("expires_at", UtcDateTime),
)

# What was answered to a POST under a key of the caller's, for repeating it (see `idempotency`).
idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    _to("organisations", primary=True),
    Column("key", IdempotencyKey, primary_key=True),
    Column("fingerprint", String(64), nullable=False),  # of the request
    Column("status", Integer, nullable=False),
    Column("answer", LargeBinary, nullable=False),  # the body, byte for byte
    _created(),
    Index(None, "created_at"),
)

projects = Table(
    "projects",
    METADATA,
    _id(),
    _to("organisations"),
    Column("name", PlainText, nullable=False),
    Column("searchable", PlainText, nullable=False, server_default=""),  # the name, folded
    Column("directory_id", Identifier),
    Column("active_config_id", Identifier, ForeignKey("model_configs.id")),
    _created(),
    _updated(),
    UniqueConstraint("organisation_id", "name"),
)

model_configs = Table(
    "model_configs",
    METADATA,
    _id(),
    _to("organisations"),
    Column("sha256", String(64), nullable=False),  # of the body: the same config has one id
    Column("model", PlainText, nullable=False),
    Column("name", PlainText),
    Column("body", Json, nullable=False),  # a ModelConfigResponse without its id
    _created(),
    UniqueConstraint("organisation_id", "sha256"),
)

project_configs = Table(
    "project_configs",
    METADATA,
    _to("projects", primary=True),
    Column("config_id", Identifier, ForeignKey("model_configs.id"), primary_key=True),
    _created(),
    _updated(),
    Column("last_used", UtcDateTime, nullable=False),
)

datasets = Table(
    "datasets",
    METADATA,
    _id(),
    _to("organisations"),
    _to("projects"),
    Column("name", PlainText, nullable=False),
    Column("description", PlainText, nullable=False),
    _created(),
    _updated(),
    Index(None, "organisation_id"),
)

# Datapoints are only ever added, so that a version is a number of them: the first so many.
dataset_versions = Table(
    "dataset_versions",
    METADATA,
    _id(),
    _to("datasets"),
    Column("datapoint_count", Integer, nullable=False),
    _created(),
    UniqueConstraint("dataset_id", "datapoint_count"),
)

datapoints = Table(
    "datapoints",
    METADATA,
    _id(),
    _to("organisations"),
    _to("datasets"),
    Column("position", Integer, nullable=False),  # within the dataset, from 0
    Column("body", Json, nullable=False),  # inputs, messages, target
    _created(),
    UniqueConstraint("dataset_id", "position"),
)

evaluators = Table(
    "evaluators",
    METADATA,
    _id(),
    _to("organisations"),
    Column("name", PlainText, nullable=False),
    Column("description", PlainText, nullable=False),
    Column("type", String(32), nullable=False),
    Column("version_id", Identifier, nullable=False),  # the current one
    _created(),
    _updated(),
    Index(None, "organisation_id"),
)

evaluator_versions = Table(
    "evaluator_versions",
    METADATA,
    _id(),
    _to("evaluators"),
    Column("arguments_type", String(32), nullable=False),
    Column("return_type", String(32), nullable=False),
    _created(),
    Index(None, "evaluator_id"),
)

evaluation_runs = Table(
    "evaluation_runs",
    METADATA,
    _id(),
    _to("organisations"),
    _to("projects"),
    _to("datasets"),
    _to("dataset_versions"),  # the rows that belong to the run
    Column("name", PlainText),
    Column("status", String(16), nullable=False),
    _created(),
    _updated(),
    Index(None, "project_id", "id"),
)

run_evaluators = Table(
    "run_evaluators",
    METADATA,
    Column("run_id", Identifier, ForeignKey("evaluation_runs.id"), primary_key=True),
    _to("evaluators", primary=True),
    _to("evaluator_versions"),
    Column("position", Integer, nullable=False),
    Index(None, "evaluator_id"),
)

evaluatees = Table(
    "evaluatees",
    METADATA,
    _id(),
    Column("run_id", Identifier, ForeignKey("evaluation_runs.id"), nullable=False),
    Column("config_id", Identifier, ForeignKey("model_configs.id"), nullable=False),
    Column("position", Integer, nullable=False),
    UniqueConstraint("run_id", "position"),
)

sessions = Table(
    "sessions",
    METADATA,
    _id(),
    _to("organisations"),
    Column("reference_id", PlainText),
    _created(),
    _updated(),
    UniqueConstraint("organisation_id", "reference_id"),
)

logs = Table(
    "logs",
    METADATA,
    _id(),
    _to("organisations"),
    _to("projects"),
    Column("config_id", Identifier, ForeignKey("model_configs.id"), nullable=False),
    Column("run_id", Identifier, ForeignKey("evaluation_runs.id")),
    _to("evaluatees", optional=True),
    _to("datapoints", optional=True),
    Column("newest", Boolean, nullable=False),  # of its run, evaluatee and datapoint: it counts
    _to("sessions", optional=True),
    _to("logs", name="parent_id", optional=True),
    Column("reference_id", PlainText),
    Column("source", PlainText),
    Column("body", Json, nullable=False),  # everything else that was sent
    Column("searchable", PlainText, nullable=False, server_default=""),  # inputs and output, folded
    Column("searchable_metadata", PlainText, nullable=False, server_default=""),
    _created(),  # the caller's, if one was sent
    _updated(),
    Index(
        "uq_logs_newest",
        "run_id",
        "evaluatee_id",
        "datapoint_id",
        unique=True,
        sqlite_where=text("newest"),
        postgresql_where=text("newest"),
    ),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "session_id"),
    Index(None, "organisation_id", "reference_id"),
    # What refers to a run, an evaluatee or a parent: deleting one looks for it (see `retention`).
    Index(None, "run_id"),
    Index(None, "evaluatee_id"),
    Index(
        None,
        "parent_id",
        sqlite_where=text("parent_id IS NOT NULL"),
        postgresql_where=text("parent_id IS NOT NULL"),
    ),
)

COUNTS: ColumnElement[bool] = literal_column("logs.newest")
"""Whether a log is the newest of its run, evaluatee and datapoint.

SQLite uses an index over some rows only where the condition is the index's own, to the letter; from
the column SQLAlchemy makes `newest = 1`, and every log would be read.
"""

# The newest feedback of each kind on a log, one row for each of its labels.
log_feedback = Table(
    "log_feedback",
    METADATA,
    _to("logs"),
    Column("type", PlainText, nullable=False),
    Column("label", PlainText, nullable=False),
    Index(None, "log_id"),
)

results = Table(
    "results",
    METADATA,
    _id(),
    _to("logs"),
    _to("evaluators"),
    _to("evaluator_versions"),
    Column("run_id", Identifier, ForeignKey("evaluation_runs.id"), nullable=False),
    Column("value", Json),  # as it came: true is not 1
    Column("score", Double),  # the value as a number, for aggregates
    Column("error", PlainText),
    _created(),
    _updated(),
    UniqueConstraint("log_id", "evaluator_id"),
    Index(None, "run_id", "evaluator_id"),
)
