"""Datasets and their datapoints, which are only ever added: a version is a number of rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from evrun.server.db.ids import new_id
from evrun.server.db.tables import datapoints, dataset_versions, datasets, logs, projects
from evrun.server.errors import InvalidValueError, NotFoundError
from evrun.server.store.ordering import Key
from evrun.server.store.pages import page
from evrun.server.store.scope import Json, Lock, Scope, now, parts
from evrun.server.store.texts import require_storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from evrun.server.store.pages import Window


def create(scope: Scope, project_id: str, *, name: str, description: str) -> Json:
    """Create an empty dataset in a project."""
    require_storable({"name": name, "description": description})
    scope.owned(projects, project_id, "project")
    dataset_id = new_id("evts_")
    at = now()
    scope.connection.execute(
        insert(datasets).values(
            id=dataset_id,
            organisation_id=scope.organisation_id,
            project_id=project_id,
            name=name,
            description=description,
            created_at=at,
            updated_at=at,
        )
    )
    _insert_version(scope, dataset_id, 0)
    return get(scope, dataset_id)


def get(scope: Scope, dataset_id: str) -> Json:
    """Return a dataset."""
    return present(scope, [owned(scope, dataset_id)])[0]


def owned(scope: Scope, dataset_id: str, *, lock: Lock | None = None) -> RowMapping:
    """Return the row of a dataset. Raises `NotFoundError`."""
    return scope.owned(datasets, dataset_id, "dataset", lock=lock)


def list_all(scope: Scope) -> list[Json]:
    """Return every dataset, oldest first."""
    query = select(datasets).where(datasets.c.organisation_id == scope.organisation_id)
    return scope.all(query.order_by(datasets.c.id), lambda rows: present(scope, rows))


def list_datapoints(scope: Scope, dataset_id: str, window: Window) -> Json:
    """Return a page of a dataset's datapoints, in the order in which they were added."""
    owned(scope, dataset_id)
    query = select(datapoints).where(datapoints.c.dataset_id == dataset_id)
    position = Key(datapoints.c.position)
    return page(
        scope, query, [position], window, lambda rows: [datapoint_response(row) for row in rows]
    )


def get_datapoint(scope: Scope, datapoint_id: str) -> Json:
    """Return a datapoint."""
    return datapoint_response(scope.owned(datapoints, datapoint_id, "datapoint"))


def add_datapoints(scope: Scope, dataset_id: str, bodies: Sequence[Json]) -> list[Json]:
    """Append datapoints, which makes a new version of the dataset."""
    owned(scope, dataset_id, lock="change")
    if not bodies:
        return []
    size = latest_version(scope, dataset_id)["datapoint_count"]
    at = now()
    rows: list[dict[str, Any]] = [
        {
            "id": new_id("evtc_"),
            "organisation_id": scope.organisation_id,
            "dataset_id": dataset_id,
            "position": size + index,
            "body": body,
            "created_at": at,
        }
        for index, body in enumerate(bodies)
    ]
    scope.connection.execute(insert(datapoints), rows)
    _insert_version(scope, dataset_id, size + len(rows))
    scope.connection.execute(
        update(datasets).where(datasets.c.id == dataset_id).values(updated_at=at)
    )
    return [datapoint_response(row) for row in rows]


def add_datapoints_from_logs(scope: Scope, dataset_id: str, log_ids: Sequence[str]) -> list[Json]:
    """Append a datapoint for each log: its inputs and messages, with its output as the target."""
    owned(scope, dataset_id)
    query = select(logs.c.id, logs.c.body).where(logs.c.organisation_id == scope.organisation_id)
    found = {
        row["id"]: row["body"]
        for part in parts(log_ids)
        for row in scope.rows(query.where(logs.c.id.in_(part)))
    }
    bodies = []
    for index, log_id in enumerate(log_ids):
        if log_id not in found:
            raise NotFoundError(f"There is no log {log_id}.")
        body = found[log_id]
        if body.get("save") is False:
            raise InvalidValueError(
                ("log_ids", index),
                f"{log_id} was logged with save=false: there is nothing to make a datapoint of.",
                type="not_saved",
            )
        bodies.append(_from_log(body))
    return add_datapoints(scope, dataset_id, bodies)


def latest_version(scope: Scope, dataset_id: str) -> RowMapping:
    """Return the row of the dataset's newest version."""
    version = scope.row(
        select(dataset_versions)
        .where(dataset_versions.c.dataset_id == dataset_id)
        .order_by(dataset_versions.c.datapoint_count.desc())
        .limit(1)
    )
    assert version is not None  # noqa: S101 - `create` makes the first
    return version


def present(scope: Scope, rows: Sequence[RowMapping]) -> list[Json]:
    """Return `DatasetResponse`s as the datasets are now."""
    newest = (
        select(
            dataset_versions.c.dataset_id,
            func.max(dataset_versions.c.datapoint_count).label("datapoint_count"),
        )
        .where(dataset_versions.c.dataset_id.in_([row["id"] for row in rows]))
        .group_by(dataset_versions.c.dataset_id)
    )
    counts = {row["dataset_id"]: row["datapoint_count"] for row in scope.rows(newest)}
    return [dataset_response(row, counts[row["id"]]) for row in rows]


def dataset_response(row: RowMapping, datapoint_count: int) -> Json:
    """Return a `DatasetResponse` with so many datapoints."""
    return {
        "id": row["id"],
        "project_id": row["project_id"],
        "name": row["name"],
        "description": row["description"],
        "datapoint_count": datapoint_count,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def datapoint_response(row: RowMapping | Json) -> Json:
    """Return a `DatapointResponse`."""
    body = row["body"]
    return {
        "id": row["id"],
        "dataset_id": row["dataset_id"],
        "inputs": body.get("inputs"),
        "messages": body.get("messages"),
        "target": body.get("target"),
    }


def _from_log(log: Json) -> Json:
    body: Json = {}
    if log.get("inputs") is not None:
        # A log's inputs are any JSON, a datapoint's are text.
        body["inputs"] = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in log["inputs"].items()
        }
    if log.get("messages") is not None:
        body["messages"] = log["messages"]
    if log.get("output") is not None:
        body["target"] = {"output": log["output"]}
    return body


def _insert_version(scope: Scope, dataset_id: str, datapoint_count: int) -> None:
    scope.connection.execute(
        insert(dataset_versions).values(
            id=new_id("dsv_"),
            dataset_id=dataset_id,
            datapoint_count=datapoint_count,
            created_at=now(),
        )
    )
