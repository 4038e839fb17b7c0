"""A project's logs, a page at a time: searched, filtered and sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from sqlalchemy import exists, false, select

from evrun.server.db.tables import logs, model_configs, projects, results
from evrun.server.errors import InvalidValueError
from evrun.server.store import feedback
from evrun.server.store.logs import in_utc, present
from evrun.server.store.ordering import MOST, Key, sort_keys
from evrun.server.store.pages import page
from evrun.server.store.searching import contains

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement

    from evrun.server.store.pages import Window
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
    start: datetime | None = None
    """Made at this time or later; without an offset it is UTC."""
    end: datetime | None = None
    """Made before this time."""
    sources: Sequence[str] = ()
    models: Sequence[str] = ()
    feedback: Mapping[str, Sequence[str]] = field(factory=dict)
    """Labels of the newest feedback, by its kind."""
    verdicts: Mapping[str, Sequence[str]] = field(factory=dict)
    """Verdicts as text (`true`, `0.5`), by evaluator id."""


def list_page(
    scope: Scope, project_id: str, filters: Filters, *, sort: Sequence[str], window: Window
) -> Json:
    """Return a page of logs, newest first unless sorted."""
    scope.owned(projects, project_id, "project")
    query = (
        select(logs)
        .join(model_configs, model_configs.c.id == logs.c.config_id)
        .where(logs.c.project_id == project_id, *_conditions(filters))
    )
    newest = (Key(logs.c.created_at, descending=True), Key(logs.c.id, descending=True))
    keys = [*sort_keys(sort, _column), *newest]
    return page(scope, query, keys, window, lambda rows: present(scope, rows))


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if not filters.committed:
        conditions.append(false())
    if filters.search:
        conditions.append(contains(logs.c.searchable, filters.search, "search"))
    if filters.metadata_search:
        conditions.append(
            contains(logs.c.searchable_metadata, filters.metadata_search, "metadata_search")
        )
    if filters.start is not None:
        conditions.append(logs.c.created_at >= in_utc(filters.start, ("start_date",)))
    if filters.end is not None:
        conditions.append(logs.c.created_at < in_utc(filters.end, ("end_date",)))
    if filters.sources:
        conditions.append(logs.c.source.in_(filters.sources))
    if filters.models:
        conditions.append(model_configs.c.model.in_(filters.models))
    if len(filters.feedback) + len(filters.verdicts) > MOST:
        raise InvalidValueError(
            (),
            f"Filter by at most {MOST} kinds of feedback and evaluators.",
            type="too_long",
        )
    conditions += [feedback.carries(kind, labels) for kind, labels in filters.feedback.items()]
    conditions += [_judged(each, values) for each, values in filters.verdicts.items()]
    return conditions


def _judged(evaluator_id: str, values: Sequence[str]) -> ColumnElement[bool]:
    scores = [score for score in map(_score, values) if score is not None]
    return exists().where(
        results.c.log_id == logs.c.id,
        results.c.evaluator_id == evaluator_id,
        results.c.score.in_(scores),
    )


def _score(text: str) -> float | None:
    """Return the number that a verdict counts as, None for a text that is not a verdict."""
    truth = {"true": 1.0, "false": 0.0}.get(text.lower())
    if truth is not None:
        return truth
    try:
        return float(text)
    except ValueError:
        return None


def _column(name: str) -> ColumnElement[Any]:
    if name.startswith("feedback-"):
        return feedback.sort_value(name.removeprefix("feedback-"))
    columns: dict[str, ColumnElement[Any]] = {
        "source": logs.c.source,
        "model": model_configs.c.model,
        "timestamp": logs.c.created_at,
    }
    return columns[name]
