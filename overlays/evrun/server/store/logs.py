"""Logs: one output for one datapoint of a run, as they are read and changed."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from evrun.server.db.tables import logs, model_configs, projects
from evrun.server.errors import InvalidValueError, NotFoundError
from evrun.server.store import results, searching
from evrun.server.store.configs import config_response
from evrun.server.store.scope import Json, Scope, now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import RowMapping

    from evrun.server.errors import Location

PAYLOAD = (
    "inputs",
    "messages",
    "output",
    "output_message",
    "judgment",
    "error",
    "stdout",
    "provider_request",
    "provider_response",
)
"""What `save: false` keeps out of the database: everything that the model or its tools read or
wrote. Numbers, ids, `source`, `metadata` and `feedback` stay."""

_GIVEN_BACK = (
    "session_reference_id",
    "parent_reference_id",
    "metadata",
    "environment",
    "feedback",
    "duration",
    "prompt_tokens",
    "output_tokens",
    "prompt_cost",
    "output_cost",
    *PAYLOAD,
)
GIVEN_BACK = frozenset(_GIVEN_BACK)
"""The fields of a log that are only given back, and stand in its body."""


def get(scope: Scope, log_id: str) -> Json:
    """Return a log with the verdicts on it."""
    return present(scope, [scope.owned(logs, log_id, "log")])[0]


def change(scope: Scope, log_id: str, body: Json) -> Json:
    """Change the output, error or duration of a log."""
    row = scope.owned(logs, log_id, "log", lock="change")
    kept = dict(row["body"])
    for field, value in body.items():
        if kept.get("save", True) or field not in PAYLOAD:
            kept[field] = value
    scope.connection.execute(
        update(logs)
        .where(logs.c.id == log_id)
        .values(body=kept, searchable=searching.payload_of(kept), updated_at=now())
    )
    return get(scope, log_id)


def change_by_reference(scope: Scope, reference_id: str, body: Json) -> Json:
    """Like `change`, for the newest log that was sent with this reference."""
    found = by_reference(scope, reference_id)
    if found is None:
        raise NotFoundError(f"There is no log with the reference_id {reference_id!r}.")
    return change(scope, found, body)


def present(scope: Scope, rows: Sequence[RowMapping]) -> list[Json]:
    """Return `LogResponse`s."""
    if not rows:
        return []
    verdicts = results.of_logs(scope, [row["id"] for row in rows])
    config_rows = scope.rows(
        select(model_configs).where(model_configs.c.id.in_({row["config_id"] for row in rows}))
    )
    config_of = {row["id"]: config_response(row["id"], row["body"]) for row in config_rows}
    project_rows = scope.rows(
        select(projects.c.id, projects.c.name).where(
            projects.c.id.in_({row["project_id"] for row in rows})
        )
    )
    names = {row["id"]: row["name"] for row in project_rows}
    return [
        _log_response(row, names[row["project_id"]], config_of[row["config_id"]], verdicts)
        for row in rows
    ]


def _log_response(
    row: RowMapping, project: str, config: Json, verdicts: dict[str, list[Json]]
) -> Json:
    body = row["body"]
    tokens = (body.get("prompt_tokens"), body.get("output_tokens"))
    return {
        **{field: body.get(field) for field in _GIVEN_BACK},
        "id": row["id"],
        "project": project,
        "project_id": row["project_id"],
        "session_id": row["session_id"],
        "parent_id": row["parent_id"],
        "source": row["source"],
        "save": body.get("save", True),
        "source_datapoint_id": row["datapoint_id"],
        "reference_id": row["reference_id"],
        "config_id": row["config_id"],
        "config": config,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "user": None,
        "provider_latency": None,
        "tokens": None if None in tokens else sum(tokens),
        "raw_output": None,
        "finish_reason": None,
        "tools": None,
        "tool_choice": None,
        "evaluation_results": verdicts[row["id"]],
        "observability_status": "completed",
        "batch_ids": None,
    }


def by_reference(scope: Scope, reference_id: str) -> str | None:
    """Return the id of the newest log that was sent with this reference."""
    found = scope.row(
        select(logs.c.id)
        .where(
            logs.c.organisation_id == scope.organisation_id,
            logs.c.reference_id == reference_id,
        )
        .order_by(logs.c.id.desc())
        .limit(1)
    )
    return found["id"] if found else None


def in_utc(instant: datetime, loc: Location) -> datetime:
    """Return an instant in UTC, also one without an offset. Raises `InvalidValueError`."""
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise InvalidValueError(loc, "The time is out of range.", type="datetime_range") from None
