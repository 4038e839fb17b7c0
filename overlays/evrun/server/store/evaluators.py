"""Evaluators and their versions. They judge outside: this server runs no code and no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from evrun.server.db.ids import new_id
from evrun.server.db.tables import evaluator_versions, evaluators, run_evaluators
from evrun.server.errors import ConflictError, InvalidValueError
from evrun.server.store.scope import Json, Lock, Scope, now
from evrun.server.store.texts import require_storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

OUTSIDE = ("external", "human")
_WHY = "This server runs no evaluator: judge outside, and post each verdict to the run."
_RETURNED = ("boolean", "number")
"""What a result can carry."""
_VERSIONED = ("arguments_type", "return_type")


def create(scope: Scope, body: Json) -> Json:
    """Create an evaluator.

    Raises `InvalidValueError` for one that would run on the server, or that cannot have a result.
    """
    if body["type"] not in OUTSIDE:
        raise InvalidValueError(
            ("type",),
            f"{_WHY} Take type 'external' or 'human' instead of {body['type']!r}.",
            type="not_supported",
        )
    _require_valid(body)
    evaluator_id, version_id = new_id("evfn_"), new_id("evv_")
    at = now()
    scope.connection.execute(
        insert(evaluators).values(
            id=evaluator_id,
            organisation_id=scope.organisation_id,
            name=body["name"],
            description=body["description"],
            type=body["type"],
            version_id=version_id,
            created_at=at,
            updated_at=at,
        )
    )
    _insert_version(scope, version_id, evaluator_id, body)
    return get(scope, evaluator_id)


def get(scope: Scope, evaluator_id: str) -> Json:
    """Return an evaluator."""
    return present(scope, [owned(scope, evaluator_id)])[0]


def owned(scope: Scope, evaluator_id: str, *, lock: Lock | None = None) -> RowMapping:
    """Return the row of an evaluator. Raises `NotFoundError`."""
    return scope.owned(evaluators, evaluator_id, "evaluator", lock=lock)


def list_all(scope: Scope) -> list[Json]:
    """Return every evaluator, oldest first."""
    query = select(evaluators).where(evaluators.c.organisation_id == scope.organisation_id)
    return scope.all(query.order_by(evaluators.c.id), lambda rows: present(scope, rows))


def change(scope: Scope, evaluator_id: str, body: Json) -> Json:
    """Change what `body` names. Another return or arguments type is a new version.

    Runs keep the version that they were given.
    """
    row = owned(scope, evaluator_id, lock="change")
    _require_valid(body)
    values: Json = {key: body[key] for key in ("name", "description") if key in body}
    version = versions(scope, [row["version_id"]])[row["version_id"]]
    wanted = {key: body.get(key, version[key]) for key in _VERSIONED}
    if any(wanted[key] != version[key] for key in _VERSIONED):
        values["version_id"] = new_id("evv_")
        _insert_version(scope, values["version_id"], evaluator_id, wanted)
    if values:
        scope.connection.execute(
            update(evaluators)
            .where(evaluators.c.id == evaluator_id)
            .values(**values, updated_at=now())
        )
    return get(scope, evaluator_id)


def remove(scope: Scope, evaluator_id: str) -> None:
    """Delete an evaluator. Raises `ConflictError` if a run uses it: verdicts are kept."""
    owned(scope, evaluator_id, lock="change")
    used = scope.row(
        select(run_evaluators.c.run_id)
        .where(run_evaluators.c.evaluator_id == evaluator_id)
        .order_by(run_evaluators.c.run_id)
        .limit(1)
    )
    if used is not None:
        raise ConflictError(f"{evaluator_id} cannot be deleted: {used['run_id']} uses it.")
    scope.connection.execute(
        delete(evaluator_versions).where(evaluator_versions.c.evaluator_id == evaluator_id)
    )
    scope.connection.execute(delete(evaluators).where(evaluators.c.id == evaluator_id))


def versions(scope: Scope, version_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Return the rows of these versions."""
    query = select(evaluator_versions).where(evaluator_versions.c.id.in_(version_ids))
    return {row["id"]: row for row in scope.rows(query)}


def present(scope: Scope, rows: Sequence[RowMapping]) -> list[Json]:
    """Return `EvaluatorResponse`s of the current versions."""
    current = versions(scope, [row["version_id"] for row in rows])
    return [evaluator_response(row, current[row["version_id"]]) for row in rows]


def evaluator_response(row: RowMapping, version: RowMapping) -> Json:
    """Return an `EvaluatorResponse`."""
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "arguments_type": version["arguments_type"],
        "return_type": version["return_type"],
        "type": row["type"],
        "code": None,
        "model_config": None,
        "logging_project": None,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _require_valid(body: Json) -> None:
    """Refuse what no evaluator can be, new or changed. Raises `InvalidValueError`."""
    require_storable({name: body[name] for name in ("name", "description") if name in body})
    if "name" in body and not body["name"].strip():
        raise InvalidValueError(
            ("name",), "An evaluator's name must not be blank.", type="string_too_short"
        )
    for field in ("code", "model_config"):
        if field in body:
            raise InvalidValueError((field,), f"{_WHY} Leave {field} out.", type="not_supported")
    wanted = body.get("return_type", _RETURNED[0])
    if wanted not in _RETURNED:
        raise InvalidValueError(
            ("return_type",),
            f"No result can be given for return_type {wanted!r}: a result is a boolean or a "
            "number. Take 'boolean' or 'number'.",
            type="not_supported",
        )


def _insert_version(scope: Scope, version_id: str, evaluator_id: str, body: Json) -> None:
    scope.connection.execute(
        insert(evaluator_versions).values(
            id=version_id,
            evaluator_id=evaluator_id,
            arguments_type=body["arguments_type"],
            return_type=body["return_type"],
            created_at=now(),
        )
    )
