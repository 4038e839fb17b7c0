"""The newest feedback of each kind on a log, in rows: logs are filtered and sorted by it.

The log itself keeps all of its feedback, as it came.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import exists, func, select

from evrun.server.db.tables import log_feedback, logs
from evrun.server.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement

    from evrun.server.errors import Location
    from evrun.server.store.scope import Json


def places(feedback: Json | Sequence[Json]) -> Iterator[tuple[Location, Json]]:
    """Return each piece of feedback that comes with a log, and its path in the body."""
    if isinstance(feedback, list):
        for index, each in enumerate(feedback):
            yield ("log", "feedback", index), each
    else:
        yield ("log", "feedback"), cast("Json", feedback)


def require_own(feedback: Json, place: Location) -> None:
    """Refuse feedback of a log that says its own id or its log's. Raises `InvalidValueError`."""
    for field in ("id", "data_id"):
        if field in feedback:
            raise InvalidValueError(
                (*place, field),
                f"Leave {field} out: the server gives it to feedback that comes with a log.",
                type="read_only",
            )


def rows(log_id: str, feedback: Sequence[Json]) -> list[Json]:
    """Return the newest feedback of each kind. Of two at the same time the later counts."""
    if not feedback:
        return []  # as most logs
    newest = {each["type"]: each["value"] for each in sorted(feedback, key=_given_at)}
    return [
        {"log_id": log_id, "type": kind, "label": label}
        for kind, value in newest.items()
        for label in _labels(value)
    ]


def carries(kind: str, labels: Sequence[str]) -> ColumnElement[bool]:
    """Return whether a log's newest feedback of this kind is or holds one of `labels`."""
    return exists().where(
        log_feedback.c.log_id == logs.c.id,
        log_feedback.c.type == kind,
        log_feedback.c.label.in_(labels),
    )


def sort_value(kind: str) -> ColumnElement[Any]:
    """Return what a log sorts by under this kind: its first label, null without feedback."""
    return (
        select(func.min(log_feedback.c.label))
        .where(log_feedback.c.log_id == logs.c.id, log_feedback.c.type == kind)
        .correlate(logs)
        .scalar_subquery()
    )


def _given_at(feedback: Json) -> datetime:
    at = datetime.fromisoformat(feedback["created_at"])
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _labels(value: Any) -> set[str]:
    several = value if isinstance(value, list) else [value]
    return {each if isinstance(each, str) else json.dumps(each) for each in several}
