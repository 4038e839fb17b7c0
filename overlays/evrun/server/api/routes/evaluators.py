"""Evaluators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.server.api.operations import NoParameters, Routes
from evrun.server.api.validation import as_sent
from evrun.server.store import evaluators
from evrun_models import (
    CreateEvaluatorRequest,
    EvaluatorsDeleteParameters,
    EvaluatorsGetParameters,
    EvaluatorsUpdateParameters,
    UpdateEvaluatorRequest,
)

if TYPE_CHECKING:
    from evrun.server.store.scope import Json, Scope

routes = Routes()


@routes.read("Evaluators_list", "/evaluators", NoParameters)
def list_evaluators(scope: Scope, _: NoParameters) -> list[Json]:
    """Return all evaluators."""
    return evaluators.list_all(scope)


@routes.write(
    "Evaluators_create", "POST /evaluators", NoParameters, CreateEvaluatorRequest, status=201
)
def create(scope: Scope, _: NoParameters, body: CreateEvaluatorRequest) -> Json:
    """Create an evaluator."""
    return evaluators.create(scope, as_sent(body))


@routes.read("Evaluators_get", "/evaluators/{id}", EvaluatorsGetParameters)
def get(scope: Scope, given: EvaluatorsGetParameters) -> Json:
    """Return an evaluator."""
    return evaluators.get(scope, given.id)


@routes.write(
    "Evaluators_update",
    "PATCH /evaluators/{id}",
    EvaluatorsUpdateParameters,
    UpdateEvaluatorRequest,
    status=200,
)
def update(scope: Scope, given: EvaluatorsUpdateParameters, body: UpdateEvaluatorRequest) -> Json:
    """Change an evaluator."""
    return evaluators.change(scope, given.id, as_sent(body))


@routes.write(
    "Evaluators_delete", "DELETE /evaluators/{id}", EvaluatorsDeleteParameters, None, status=204
)
def delete(scope: Scope, given: EvaluatorsDeleteParameters, _: None) -> None:
    """Delete an evaluator that no run uses."""
    evaluators.remove(scope, given.id)
