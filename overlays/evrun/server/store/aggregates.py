"""The mean of each evaluator's verdicts, computed in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, func, select

from evrun.server.schema import COUNTS, evaluatees, logs, results, run_evaluators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evrun.server.store.scope import Json, Scope


def of_runs(scope: Scope, run_ids: Sequence[str]) -> dict[str, list[Json]]:
    """Return, for each run, the mean value of each config under each evaluator.

    Only the newest log of a datapoint counts; true counts as 1, an error not at all. A pair without
    a value is there with None. Each entry carries its evaluatee for the caller to choose by.
    """
    found: dict[str, list[Json]] = {run_id: [] for run_id in run_ids}
    verdicts = (
        select(results.c.evaluator_version_id, results.c.score, logs.c.evaluatee_id)
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
            func.avg(verdicts.c.score).label("mean"),
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


def aggregate_response(entry: Json) -> Json:
    """Return a `ModelConfigEvaluatorAggregateResponse`."""
    return {
        "model_config_id": entry["config_id"],
        "evaluator_id": entry["evaluator_id"],
        "evaluator_version_id": entry["evaluator_version_id"],
        "aggregate_value": entry["mean"],
    }
