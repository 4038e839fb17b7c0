"""How runs are shown: one, all of a project, a page of them, sorted and filtered."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from attrs import frozen
from sqlalchemy import func, or_, select

from evrun.server.db.tables import (
    COUNTS,
    dataset_versions,
    datasets,
    evaluatees,
    evaluation_runs,
    evaluator_versions,
    evaluators,
    logs,
    model_configs,
    projects,
    results,
    run_evaluators,
)
from evrun.server.store import aggregates
from evrun.server.store.configs import config_response
from evrun.server.store.datasets import dataset_response
from evrun.server.store.datasets import present as present_datasets
from evrun.server.store.evaluators import evaluator_response
from evrun.server.store.ordering import Key, sort_keys
from evrun.server.store.pages import page
from evrun.server.store.runs import evaluatee_of, run_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import ColumnElement, RowMapping, Select

    from evrun.server.store.pages import Window
    from evrun.server.store.scope import Json, Scope


@frozen(kw_only=True)
class Filters:
    """Which runs to show. What is left out lets everything pass."""

    ids: Sequence[str] | None = None
    datasets: Sequence[str] = ()
    """Names or ids."""
    configs: Sequence[str] = ()
    """Names, models or ids."""
    statuses: Sequence[str] = ()
    start: date | None = None
    """Created on this day (UTC) or later."""
    end: date | None = None
    """Created before this day (UTC)."""
    evaluatee_id: str | None = None


def get(
    scope: Scope, run_id: str, *, evaluatee_id: str | None = None, with_aggregates: bool = False
) -> Json:
    """Return a run, with the config of the named or first evaluatee."""
    row = run_row(scope, run_id)
    if evaluatee_id is not None:
        evaluatee_of(scope, run_id, evaluatee_id)
    return _present(scope, [row], evaluatee_id=evaluatee_id, with_aggregates=with_aggregates)[0]


def list_all(
    scope: Scope, project_id: str, *, evaluatee_id: str | None, with_aggregates: bool
) -> list[Json]:
    """Return every run of a project, newest first; only the evaluatee's, if one is named."""
    query = _select(scope, project_id, Filters(evaluatee_id=evaluatee_id))
    return scope.all(
        query.order_by(evaluation_runs.c.id.desc()),
        lambda rows: _present(
            scope, rows, evaluatee_id=evaluatee_id, with_aggregates=with_aggregates
        ),
    )


def list_page(
    scope: Scope, project_id: str, filters: Filters, *, sort: Sequence[str], window: Window
) -> Json:
    """Return a page of a project's runs with their aggregates, newest first unless sorted."""
    return page(
        scope,
        _select(scope, project_id, filters),
        [*sort_keys(sort, _column), Key(evaluation_runs.c.id, descending=True)],
        window,
        lambda rows: _present(scope, rows, evaluatee_id=filters.evaluatee_id, with_aggregates=True),
    )


def _select(scope: Scope, project_id: str, filters: Filters) -> Select[Any]:
    scope.owned(projects, project_id, "project")
    query = (
        select(evaluation_runs)
        .join(datasets, datasets.c.id == evaluation_runs.c.dataset_id)
        .join(evaluatees, evaluatees.c.run_id == evaluation_runs.c.id)
        .join(model_configs, model_configs.c.id == evaluatees.c.config_id)
        .where(evaluation_runs.c.project_id == project_id)
    )
    if filters.evaluatee_id is None:
        query = query.where(evaluatees.c.position == 0)
    else:
        query = query.where(evaluatees.c.id == filters.evaluatee_id)
    if filters.ids is not None:
        query = query.where(evaluation_runs.c.id.in_(filters.ids))
    if filters.statuses:
        query = query.where(evaluation_runs.c.status.in_(filters.statuses))
    if filters.datasets:
        query = query.where(
            or_(datasets.c.name.in_(filters.datasets), datasets.c.id.in_(filters.datasets))
        )
    if filters.configs:
        query = query.where(
            or_(
                model_configs.c.id.in_(filters.configs),
                model_configs.c.model.in_(filters.configs),
                model_configs.c.name.in_(filters.configs),
            )
        )
    if filters.start is not None:
        query = query.where(evaluation_runs.c.created_at >= _midnight(filters.start))
    if filters.end is not None:
        query = query.where(evaluation_runs.c.created_at < _midnight(filters.end))
    return query


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


def _column(name: str) -> ColumnElement[Any]:
    if name.startswith("evaluator-"):
        return _mean(name.removeprefix("evaluator-"))
    columns: dict[str, ColumnElement[Any]] = {
        "dataset": datasets.c.name,
        "config": func.coalesce(model_configs.c.name, model_configs.c.model),
        "status": evaluation_runs.c.status,
    }
    return columns[name]


def _mean(evaluator_id: str) -> ColumnElement[Any]:
    return (
        select(aggregates.mean(results.c.score))
        .join(logs, logs.c.id == results.c.log_id)
        .where(
            results.c.run_id == evaluation_runs.c.id,
            results.c.evaluator_id == evaluator_id,
            COUNTS,
            logs.c.evaluatee_id == evaluatees.c.id,
        )
        .correlate(evaluation_runs, evaluatees)
        .scalar_subquery()
    )


def _present(
    scope: Scope, rows: Sequence[RowMapping], *, evaluatee_id: str | None, with_aggregates: bool
) -> list[Json]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    judged = _evaluators(scope, ids)
    evaluated = _evaluatees(scope, ids)
    whole = _datasets(scope, [row["dataset_id"] for row in rows])
    sizes = _sizes(scope, [row["dataset_version_id"] for row in rows])
    aggregated = aggregates.of_runs(scope, ids) if with_aggregates else {}

    def present(row: RowMapping) -> Json:
        each = evaluated[row["id"]]
        shown = next((one for one in each if one["id"] == evaluatee_id), each[0])
        dataset, response = whole[row["dataset_id"]]
        size = sizes[row["dataset_version_id"]]
        return {
            "id": row["id"],
            "status": row["status"],
            "config": config_response(shown["config_id"], shown["body"]),
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
            "evaluators": judged[row["id"]],
            "dataset": response,
            "dataset_version_id": row["dataset_version_id"],
            "dataset_snapshot": dataset_response(dataset, size),
            "evaluator_aggregates": [
                aggregates.aggregate_response(entry, size)
                for entry in aggregated[row["id"]]
                if evaluatee_id in {None, entry["evaluatee_id"]}
            ]
            if with_aggregates
            else None,
            "evaluatees": [{"id": one["id"], "config_id": one["config_id"]} for one in each],
        }

    return [present(row) for row in rows]


def _evaluators(scope: Scope, run_ids: Sequence[str]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {run_id: [] for run_id in run_ids}
    query = (
        select(
            run_evaluators.c.run_id,
            evaluators,
            evaluator_versions.c.arguments_type,
            evaluator_versions.c.return_type,
        )
        .join(evaluators, evaluators.c.id == run_evaluators.c.evaluator_id)
        .join(
            evaluator_versions,
            evaluator_versions.c.id == run_evaluators.c.evaluator_version_id,
        )
        .where(run_evaluators.c.run_id.in_(run_ids))
        .order_by(run_evaluators.c.position)
    )
    for row in scope.rows(query):
        found[row["run_id"]].append(evaluator_response(row, row))
    return found


def _evaluatees(scope: Scope, run_ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    found: dict[str, list[RowMapping]] = {run_id: [] for run_id in run_ids}
    query = (
        select(evaluatees, model_configs.c.body)
        .join(model_configs, model_configs.c.id == evaluatees.c.config_id)
        .where(evaluatees.c.run_id.in_(run_ids))
        .order_by(evaluatees.c.position)
    )
    for row in scope.rows(query):
        found[row["run_id"]].append(row)
    return found


def _datasets(scope: Scope, dataset_ids: Sequence[str]) -> dict[str, tuple[RowMapping, Json]]:
    rows = scope.rows(select(datasets).where(datasets.c.id.in_(dataset_ids)))
    responses = present_datasets(scope, rows)
    return {row["id"]: (row, response) for row, response in zip(rows, responses, strict=True)}


def _sizes(scope: Scope, version_ids: Sequence[str]) -> dict[str, int]:
    query = select(dataset_versions).where(dataset_versions.c.id.in_(version_ids))
    return {row["id"]: row["datapoint_count"] for row in scope.rows(query)}
