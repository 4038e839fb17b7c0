"""Evaluation runs: a config, a dataset as it was, evaluators, and a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update

from evrun.server.db.ids import new_id
from evrun.server.db.tables import (
    evaluatees,
    evaluation_runs,
    evaluator_versions,
    evaluators,
    projects,
    run_evaluators,
)
from evrun.server.errors import ConflictError, InvalidValueError, NotFoundError
from evrun.server.store import configs, datasets
from evrun.server.store.project_configs import use
from evrun.server.store.scope import Json, Lock, Scope, now
from evrun.server.store.texts import require_storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import RowMapping

TRANSITIONS = {
    "pending": {"running", "cancelled"},
    "running": {"completed", "cancelled"},
    "completed": {"running"},
    "cancelled": set[str](),
}
"""What a run's status can become, besides staying what it is."""


def create(scope: Scope, project_id: str, body: Json) -> str:
    """Create a pending run over the dataset as it is now, and return its id."""
    if body.get("hl_generated", True):
        raise InvalidValueError(
            ("hl_generated",),
            "This server calls no model, so it cannot generate outputs. Send hl_generated=false "
            "and log each output to the run. (Left out, it means true.)",
            type="not_supported",
        )
    require_storable({"name": body.get("name")})
    scope.owned(projects, project_id, "project")
    config = configs.owned(scope, body["config_id"])
    dataset = datasets.owned(scope, body["dataset_id"])
    version = datasets.latest_version(scope, dataset["id"])
    chosen = [_current_version(scope, evaluator_id) for evaluator_id in body["evaluator_ids"]]
    run_id = new_id("evrun_")
    at = now()
    scope.connection.execute(
        insert(evaluation_runs).values(
            id=run_id,
            organisation_id=scope.organisation_id,
            project_id=project_id,
            dataset_id=dataset["id"],
            dataset_version_id=version["id"],
            name=body.get("name"),
            status="pending",
            created_at=at,
            updated_at=at,
        )
    )
    scope.connection.execute(
        insert(evaluatees).values(
            id=new_id("evv_"), run_id=run_id, config_id=config["id"], position=0
        )
    )
    use(scope, project_id, config["id"])
    _attach(scope, run_id, chosen)
    return run_id


def set_status(scope: Scope, run_id: str, status: str) -> None:
    """Move a run to `status`. The status that it has already is fine, so that a retry is."""
    run = run_row(scope, run_id, lock="change")
    if status == run["status"]:
        return
    possible = TRANSITIONS[run["status"]]
    if status not in possible:
        ways = " or ".join(sorted(possible)) or "nothing else: that is final"
        raise InvalidValueError(
            ("status",),
            f"A {run['status']} run cannot become {status}. It can become {ways}.",
            type="status_transition",
        )
    scope.connection.execute(
        update(evaluation_runs)
        .where(evaluation_runs.c.id == run_id)
        .values(status=status, updated_at=now())
    )


def add_evaluators(
    scope: Scope, run_id: str, *, evaluator_ids: list[str], version_ids: list[str]
) -> None:
    """Add evaluators by id (their current version) or by version. One already there stays."""
    run = run_row(scope, run_id, lock="change")
    if not evaluator_ids and not version_ids:
        raise InvalidValueError(
            ("evaluator_ids",),
            "Name at least one evaluator: send evaluator_ids or evaluator_version_ids.",
            type="missing",
        )
    if run["status"] == "cancelled":
        raise InvalidValueError(
            ("id",),
            f"{run_id} is cancelled, which is final. Create a new run.",
            type="run_status",
        )
    attached = select(run_evaluators).where(run_evaluators.c.run_id == run_id)
    present: dict[str, str] = {
        row["evaluator_id"]: row["evaluator_version_id"] for row in scope.rows(attached)
    }
    # By id, the version that the run has already will do; by version, it must be that one.
    wanted = [_current_version(scope, each) for each in evaluator_ids if each not in present]
    for version_id in version_ids:
        evaluator_id = _evaluator_of(scope, version_id)
        if present.get(evaluator_id, version_id) != version_id:
            raise ConflictError(
                f"{run_id} judges with another version of {evaluator_id}, "
                f"{present[evaluator_id]}. Create a new run for {version_id}."
            )
        if evaluator_id not in present:
            wanted.append((evaluator_id, version_id))
    _attach(scope, run_id, wanted, first=len(present))
    if wanted:
        scope.connection.execute(
            update(evaluation_runs).where(evaluation_runs.c.id == run_id).values(updated_at=now())
        )


def run_row(scope: Scope, run_id: str, *, lock: Lock | None = None) -> RowMapping:
    """Return the row of a run. Raises `NotFoundError`."""
    return scope.owned(evaluation_runs, run_id, "evaluation run", lock=lock)


def require_running(run: Mapping[Any, Any]) -> None:
    """Refuse what only a running run takes. Raises `InvalidValueError`."""
    if run["status"] != "running":
        way = (
            "Create a new run."
            if run["status"] == "cancelled"
            else "Set it running first: Evaluations_updateStatus."
        )
        raise InvalidValueError(
            ("evaluation_id",),
            f"The run is {run['status']}, and only a running run takes logs and results. {way}",
            type="run_status",
        )


# Made once: every log asks this.
_FIRST = (
    select(evaluatees)
    .where(evaluatees.c.run_id == bindparam("run_id"))
    .order_by(evaluatees.c.position)
    .limit(1)
)


def evaluatee_of(scope: Scope, run_id: str, evaluatee_id: str | None) -> RowMapping:
    """Return the row of the named evaluatee, or of the run's first. Raises `NotFoundError`."""
    if evaluatee_id is None:
        found = scope.connection.execute(_FIRST, {"run_id": run_id}).mappings().first()
    else:
        found = scope.row(
            select(evaluatees).where(evaluatees.c.run_id == run_id, evaluatees.c.id == evaluatee_id)
        )
    if found is None:
        raise NotFoundError(
            f"{run_id} has no evaluatee {evaluatee_id}. Evaluations_get names them."
        )
    return found


def _current_version(scope: Scope, evaluator_id: str) -> tuple[str, str]:
    row = scope.owned(evaluators, evaluator_id, "evaluator")
    return row["id"], row["version_id"]


def _evaluator_of(scope: Scope, version_id: str) -> str:
    query = (
        select(evaluators.c.id)
        .join(evaluator_versions, evaluator_versions.c.evaluator_id == evaluators.c.id)
        .where(
            evaluator_versions.c.id == version_id,
            evaluators.c.organisation_id == scope.organisation_id,
        )
    )
    found: str | None = scope.connection.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFoundError(f"There is no evaluator version {version_id}.")
    return found


def _attach(scope: Scope, run_id: str, pairs: Iterable[tuple[str, str]], *, first: int = 0) -> None:
    # The same evaluator may be named twice; two versions of one may not.
    unique: dict[str, str] = {}
    for evaluator_id, version_id in pairs:
        if unique.setdefault(evaluator_id, version_id) != version_id:
            raise ConflictError(f"A run judges with one version of {evaluator_id}; two were named.")
    rows = [
        {
            "run_id": run_id,
            "evaluator_id": evaluator_id,
            "evaluator_version_id": version_id,
            "position": position,
        }
        for position, (evaluator_id, version_id) in enumerate(unique.items(), start=first)
    ]
    if rows:
        scope.connection.execute(insert(run_evaluators), rows)
