"""Verdicts: what an evaluator says of a log. A second one replaces the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, insert, select, update

from evrun.server.db.ids import new_id
from evrun.server.db.tables import evaluator_versions, logs, results, run_evaluators
from evrun.server.errors import InvalidValueError, NotFoundError
from evrun.server.store import evaluators
from evrun.server.store.runs import evaluatee_of, require_running, run_row
from evrun.server.store.scope import Json, Scope, now
from evrun.server.store.texts import require_storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping


def record(
    scope: Scope,
    run_id: str,
    *,
    log_id: str,
    evaluator_id: str,
    value: bool | float | None,
    error: str | None,
    evaluatee_id: str | None,
) -> Json:
    """Record a verdict, or the error that stood in its way, on a log of a running run."""
    if (value is None) == (error is None):
        raise InvalidValueError(
            ("result",),
            "Send exactly one of result (a boolean or number) and error (a text).",
            type="contradiction" if value is not None else "missing",
        )
    require_storable({"error": error})
    run = run_row(scope, run_id, lock="stand")
    require_running(run)
    evaluatee = evaluatee_of(scope, run_id, evaluatee_id) if evaluatee_id else None
    _require_log(scope, run_id, log_id, evaluatee)
    version = _version(scope, run_id, evaluator_id)
    score = None if value is None else _score(value, version["return_type"])
    result_id = _upsert(
        scope,
        log_id=log_id,
        run_id=run_id,
        evaluator_id=evaluator_id,
        evaluator_version_id=version["id"],
        value=value,
        score=score,
        error=error,
    )
    row = scope.row(select(results).where(results.c.id == result_id))
    assert row is not None  # noqa: S101 - written above, in this transaction
    return result_response(row)


def of_logs(scope: Scope, log_ids: Sequence[str]) -> dict[str, list[Json]]:
    """Return the verdicts on each of these logs, oldest first."""
    found: dict[str, list[Json]] = {log_id: [] for log_id in log_ids}
    query = select(results).where(results.c.log_id.in_(log_ids)).order_by(results.c.id)
    for row in scope.rows(query):
        found[row["log_id"]].append(result_response(row))
    return found


def result_response(row: RowMapping) -> Json:
    """Return an `EvaluationResultResponse`. The log is named, not repeated."""
    return {
        "id": row["id"],
        "evaluator_id": row["evaluator_id"],
        "evaluator_version_id": row["evaluator_version_id"],
        "evaluation_id": row["run_id"],
        "log_id": row["log_id"],
        "log": None,
        "version_id": None,
        "version": None,
        "value": row["value"],
        "error": row["error"],
        "updated_at": row["updated_at"],
        "created_at": row["created_at"],
        "evaluator_log": None,
    }


def _require_log(scope: Scope, run_id: str, log_id: str, evaluatee: RowMapping | None) -> None:
    log = scope.row(
        select(logs.c.run_id, logs.c.evaluatee_id).where(
            logs.c.id == log_id, logs.c.organisation_id == scope.organisation_id
        )
    )
    if log is None:
        raise NotFoundError(f"There is no log {log_id}.")
    if log["run_id"] != run_id:
        raise InvalidValueError(
            ("log_id",), f"{log_id} is not a log of {run_id}.", type="not_in_run"
        )
    if evaluatee is not None and log["evaluatee_id"] != evaluatee["id"]:
        raise InvalidValueError(
            ("evaluatee_id",),
            f"{log_id} was logged for {log['evaluatee_id']}, not for {evaluatee['id']}.",
            type="contradiction",
        )


def _version(scope: Scope, run_id: str, evaluator_id: str) -> RowMapping:
    query = (
        select(evaluator_versions)
        .join(run_evaluators, run_evaluators.c.evaluator_version_id == evaluator_versions.c.id)
        .where(run_evaluators.c.run_id == run_id, run_evaluators.c.evaluator_id == evaluator_id)
    )
    version = scope.row(query)
    if version is None:
        evaluators.owned(scope, evaluator_id)
        raise InvalidValueError(
            ("evaluator_id",),
            f"{evaluator_id} is not an evaluator of {run_id}. Add it to the run first: "
            "Evaluations_addEvaluators.",
            type="not_in_run",
        )
    return version


def _score(value: bool | float, return_type: str) -> float:  # noqa: FBT001 - the value itself
    fits = {"boolean": isinstance(value, bool), "number": not isinstance(value, bool)}
    if not fits[return_type]:
        raise InvalidValueError(
            ("result",),
            f"The evaluator's return type is {return_type}, and {value!r} does not fit it.",
            type="return_type",
        )
    return float(value)


def _upsert(scope: Scope, *, log_id: str, evaluator_id: str, **values: object) -> str:
    at = now()
    same = and_(results.c.log_id == log_id, results.c.evaluator_id == evaluator_id)
    found = select(results.c.id).where(same)
    existing: str | None = scope.connection.execute(found).scalar_one_or_none()
    if existing is not None:
        scope.connection.execute(update(results).where(same).values(**values, updated_at=at))
        return existing
    result_id = new_id("evres_")
    scope.connection.execute(
        insert(results).values(
            id=result_id,
            log_id=log_id,
            evaluator_id=evaluator_id,
            **values,
            created_at=at,
            updated_at=at,
        )
    )
    return result_id
