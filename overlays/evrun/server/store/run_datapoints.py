"""A run's datapoints, each with its newest log and the verdicts on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from evrun.server.db.tables import COUNTS, datapoints, dataset_versions, logs
from evrun.server.store import logs as log_store
from evrun.server.store.datasets import datapoint_response
from evrun.server.store.ordering import Key
from evrun.server.store.pages import page
from evrun.server.store.runs import evaluatee_of, run_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from evrun.server.store.pages import Window
    from evrun.server.store.scope import Json, Scope


def list_page(scope: Scope, run_id: str, window: Window, *, evaluatee_id: str | None) -> Json:
    """Return a page of the rows that the run evaluates, in the dataset's order."""
    run = run_row(scope, run_id)
    evaluatee = evaluatee_of(scope, run_id, evaluatee_id)
    query = (
        select(datapoints)
        .join(dataset_versions, dataset_versions.c.dataset_id == datapoints.c.dataset_id)
        .where(
            dataset_versions.c.id == run["dataset_version_id"],
            datapoints.c.position < dataset_versions.c.datapoint_count,
        )
    )

    def present(rows: Sequence[RowMapping]) -> list[Json]:
        newest = scope.rows(
            select(logs).where(
                logs.c.run_id == run_id,
                logs.c.evaluatee_id == evaluatee["id"],
                logs.c.datapoint_id.in_([row["id"] for row in rows]),
                COUNTS,
            )
        )
        shown = {log["source_datapoint_id"]: log for log in log_store.present(scope, newest)}
        return [_snapshot(row, shown.get(row["id"])) for row in rows]

    return page(scope, query, [Key(datapoints.c.position)], window, present)


def _snapshot(row: RowMapping, log: Json | None) -> Json:
    return {
        "datapoint": datapoint_response(row),
        "log": log,
        "evaluation_results": log["evaluation_results"] if log else [],
    }
