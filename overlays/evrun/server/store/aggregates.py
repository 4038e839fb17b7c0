"""What each evaluator's verdicts come to, computed in the database: their mean, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, select

from evrun.server.db.tables import COUNTS, evaluatees, logs, results, run_evaluators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from evrun.server.store.scope import Json, Scope

_LARGE = 2.0**960
_SCALE = 2.0**64
_SMALLEST = 5e-324


def mean(score: ColumnElement[float]) -> ColumnElement[Any]:
    """Return the mean of a column of finite numbers, null without any. It is finite too.

    `avg` is not: where the sum overflows, SQLite returns an infinity and PostgreSQL fails. So large
    numbers are summed apart, scaled by a power of two, which costs no precision. PostgreSQL also
    fails where a quotient is too small for a float: that is 0 here.
    """
    count = func.nullif(func.count(score), 0)
    is_large = func.abs(score) > _LARGE
    large = func.sum(case((is_large, score / _SCALE), else_=0.0))
    small = func.sum(case((is_large, 0.0), else_=score))
    vanishes = func.abs(small) < count * _SMALLEST
    return large / count * _SCALE + case((vanishes, 0.0), else_=small / count)


def of_runs(scope: Scope, run_ids: Sequence[str]) -> dict[str, list[Json]]:
    """Return, for each run, what the verdicts of each evaluator on each config come to.

    Only the newest log of a datapoint counts; in the mean, true counts as 1 and an error not at
    all. A pair without a value is there with None. Each entry carries its evaluatee for the caller
    to choose by.
    """
    found: dict[str, list[Json]] = {run_id: [] for run_id in run_ids}
    verdicts = (
        select(
            results.c.evaluator_version_id,
            results.c.score,
            results.c.error,
            logs.c.evaluatee_id,
        )
        .join(logs, logs.c.id == results.c.log_id)
        .where(results.c.run_id.in_(run_ids), COUNTS)
        .subquery()
    )
    query = (
        select(
            run_evaluators.c.run_id,
            evaluatees.c.id.label("evaluatee_id"),
            evaluatees.c.config_id,
            run_evaluators.c.evaluator_id,
            run_evaluators.c.evaluator_version_id,
            mean(verdicts.c.score).label("mean"),
            func.count(verdicts.c.score).label("n"),
            func.count(verdicts.c.error).label("errors"),
        )
        .join(evaluatees, evaluatees.c.run_id == run_evaluators.c.run_id)
        .outerjoin(
            verdicts,
            and_(
                verdicts.c.evaluatee_id == evaluatees.c.id,
                verdicts.c.evaluator_version_id == run_evaluators.c.evaluator_version_id,
            ),
        )
        .where(run_evaluators.c.run_id.in_(run_ids))
        .group_by(
            run_evaluators.c.run_id,
            evaluatees.c.id,
            evaluatees.c.config_id,
            evaluatees.c.position,
            run_evaluators.c.evaluator_id,
            run_evaluators.c.evaluator_version_id,
            run_evaluators.c.position,
        )
        .order_by(evaluatees.c.position, run_evaluators.c.position)
    )
    for row in scope.rows(query):
        found[row["run_id"]].append(dict(row))
    return found


def aggregate_response(entry: Json, datapoint_count: int) -> Json:
    """Return a `ModelConfigEvaluatorAggregateResponse` of a run over so many datapoints."""
    return {
        "model_config_id": entry["config_id"],
        "evaluator_id": entry["evaluator_id"],
        "evaluator_version_id": entry["evaluator_version_id"],
        "aggregate_value": entry["mean"],
        "n": entry["n"],
        "errors": entry["errors"],
        "missing": datapoint_count - entry["n"] - entry["errors"],
    }
