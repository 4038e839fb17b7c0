"""A project's logs, a page at a time: searched, filtered and sorted."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from attrs import frozen
from sqlalchemy import String, cast, false, or_, select

from evrun.server.refusals import Rule
from evrun.server.schema import logs, model_configs, projects
from evrun.server.store.logs import present

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import ColumnElement

    from evrun.server.store.scope import Json, Scope


@frozen(kw_only=True)
class Filters:
    """Which logs to show. What is left out lets everything pass."""

    search: str | None = None
    """Contained in the inputs or the output, whatever its case."""
    metadata_search: str | None = None
    """Contained in the metadata, whatever its case."""
    committed: bool = True
    """Whether logs of committed versions are shown; this server keeps no others."""
    start: date | datetime | None = None
    """Made at this time or later; a day counts from its midnight, UTC."""
    end: date | datetime | None = None
    """Made before this time."""
    sources: Sequence[str] = ()
    models: Sequence[str] = ()


def list_page(
    scope: Scope, project_id: str, filters: Filters, *, sort: Sequence[str], page: int, size: int
) -> Json:
    """Return a page of logs, newest first unless sorted."""
    scope.owned(projects, project_id, "project")
    query = (
        select(logs)
        .join(model_configs, model_configs.c.id == logs.c.config_id)
        .where(logs.c.project_id == project_id, *_conditions(filters))
        .order_by(*map(_sort_key, sort), logs.c.created_at.desc(), logs.c.id.desc())
    )
    return scope.page(query, lambda rows: present(scope, rows), page=page, size=size)


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if not filters.committed:
        conditions.append(false())
    if filters.search:
        places = [_text("inputs"), logs.c.body["output"].as_string()]
        conditions.append(
            or_(*(place.icontains(filters.search, autoescape=True) for place in places))
        )
    if filters.metadata_search:
        conditions.append(_text("metadata").icontains(filters.metadata_search, autoescape=True))
    if filters.start is not None:
        conditions.append(logs.c.created_at >= _instant(filters.start))
    if filters.end is not None:
        conditions.append(logs.c.created_at < _instant(filters.end))
    if filters.sources:
        conditions.append(logs.c.source.in_(filters.sources))
    if filters.models:
        conditions.append(model_configs.c.model.in_(filters.models))
    return conditions


def _text(field: str) -> ColumnElement[str]:
    return cast(logs.c.body[field].as_json(), String)


def _instant(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time.min, tzinfo=UTC)


def _sort_key(sort: str) -> ColumnElement[Any]:
    column, _, order = sort.rpartition(".")
    keys: dict[str, ColumnElement[Any]] = {
        "source": logs.c.source,
        "model": model_configs.c.model,
        "timestamp": logs.c.created_at,
    }
    if column not in keys:
        raise Rule(
            ("query", "sort"),
            f"This server sorts by {', '.join(keys)}; not by {column!r}.",
            type="not_supported",
        )
    return keys[column].desc() if order == "desc" else keys[column].asc()
