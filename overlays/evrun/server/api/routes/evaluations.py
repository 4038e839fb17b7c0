"""Evaluation runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.server.api import batches
from evrun.server.api.operations import Routes
from evrun.server.api.validation import as_sent, with_defaults
from evrun.server.errors import NotFoundError
from evrun.server.store import results, run_datapoints, run_pages, runs
from evrun.server.store.pages import Window
from evrun_models import (
    AddEvaluatorsRequest,
    CreateEvaluationLogRequest,
    CreateEvaluationRequest,
    CreateEvaluationResultLogRequest,
    EvaluationsAddEvaluatorsParameters,
    EvaluationsCreateParameters,
    EvaluationsGetParameters,
    EvaluationsListAllForProjectParameters,
    EvaluationsListDatapointsParameters,
    EvaluationsListParameters,
    EvaluationsLogManyParameters,
    EvaluationsLogParameters,
    EvaluationsResultParameters,
    EvaluationsUpdateStatusParameters,
    UpdateEvaluationStatusRequest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evrun.server.api.operations import ParsedRequest
    from evrun.server.errors import ApiError
    from evrun.server.store.idempotency import Answer
    from evrun.server.store.scope import Json, Scope

routes = Routes()


@routes.write(
    "Evaluations_create",
    "POST /projects/{project_id}/evaluations",
    EvaluationsCreateParameters,
    CreateEvaluationRequest,
    status=201,
)
def create(scope: Scope, given: EvaluationsCreateParameters, body: CreateEvaluationRequest) -> Json:
    """Create a run. The provider keys that a caller may send go no further than here."""
    wanted = with_defaults(body)
    wanted.pop("provider_api_keys", None)
    return run_pages.get(scope, runs.create(scope, given.project_id, wanted))


@routes.read("Evaluations_get", "/evaluations/{id}", EvaluationsGetParameters)
def get(scope: Scope, given: EvaluationsGetParameters) -> Json:
    """Return a run."""
    return run_pages.get(
        scope,
        given.id,
        evaluatee_id=given.evaluatee_id,
        with_aggregates=bool(given.evaluator_aggregates),
    )


@routes.read(
    "Evaluations_listDatapoints",
    "/evaluations/{id}/datapoints",
    EvaluationsListDatapointsParameters,
)
def list_datapoints(scope: Scope, given: EvaluationsListDatapointsParameters) -> Json:
    """Return a page of a run's datapoints."""
    return run_datapoints.list_page(
        scope, given.id, Window.of(given), evaluatee_id=given.evaluatee_id
    )


@routes.write_jointly(
    "Evaluations_log",
    "POST /evaluations/{evaluation_id}/log",
    EvaluationsLogParameters,
    CreateEvaluationLogRequest,
    status=201,
    prepare=lambda given, body, attempt: batches.Item.of(given.evaluatee_id, body, attempt),
)
def log(scope: Scope, requests: Sequence[ParsedRequest]) -> Sequence[Answer | ApiError]:
    """Log an output for a datapoint: for each request, which may be of several runs."""
    answers: dict[ParsedRequest, Answer | ApiError] = {}
    by_run: dict[str, dict[ParsedRequest, batches.Item]] = {}
    for request in requests:
        by_run.setdefault(request.parameters.evaluation_id, {})[request] = request.body
    for run_id, items in sorted(by_run.items()):
        try:
            of_run = batches.log_each(scope, run_id, list(items.values()))
            answers.update(zip(items, of_run, strict=True))
        except NotFoundError as refusal:
            answers.update(dict.fromkeys(items, refusal))
    return [answers[request] for request in requests]


@routes.write(
    "Evaluations_logMany",
    "POST /evaluations/{evaluation_id}/logs",
    EvaluationsLogManyParameters,
    batches.LogsBody,
    status=200,
    parse=batches.parse,
    prepare=lambda given, body, _: batches.read(given.evaluation_id, body),
)
def log_many(
    scope: Scope, given: EvaluationsLogManyParameters, items: list[batches.Item | ApiError]
) -> Json:
    """Log many outputs, each by itself."""
    answers = batches.log_each(scope, given.evaluation_id, items)
    return {"results": [batches.outcome(answer) for answer in answers]}


@routes.write(
    "Evaluations_result",
    "POST /evaluations/{evaluation_id}/result",
    EvaluationsResultParameters,
    CreateEvaluationResultLogRequest,
    status=201,
)
def result(
    scope: Scope, given: EvaluationsResultParameters, body: CreateEvaluationResultLogRequest
) -> Json:
    """Record a verdict on a log."""
    return results.record(
        scope,
        given.evaluation_id,
        log_id=body.log_id,
        evaluator_id=body.evaluator_id,
        value=body.result,
        error=body.error,
        evaluatee_id=given.evaluatee_id,
    )


@routes.write(
    "Evaluations_updateStatus",
    "PATCH /evaluations/{id}/status",
    EvaluationsUpdateStatusParameters,
    UpdateEvaluationStatusRequest,
    status=200,
)
def update_status(
    scope: Scope, given: EvaluationsUpdateStatusParameters, body: UpdateEvaluationStatusRequest
) -> Json:
    """Move a run to another status."""
    runs.set_status(scope, given.id, body.status)
    return run_pages.get(scope, given.id)


@routes.write(
    "Evaluations_addEvaluators",
    "PATCH /evaluations/{id}/evaluators",
    EvaluationsAddEvaluatorsParameters,
    AddEvaluatorsRequest,
    status=200,
)
def add_evaluators(
    scope: Scope, given: EvaluationsAddEvaluatorsParameters, body: AddEvaluatorsRequest
) -> Json:
    """Add evaluators to a run."""
    wanted = as_sent(body)
    runs.add_evaluators(
        scope,
        given.id,
        evaluator_ids=wanted.get("evaluator_ids", []),
        version_ids=wanted.get("evaluator_version_ids", []),
    )
    return run_pages.get(scope, given.id)


@routes.read("Evaluations_list", "/evaluations", EvaluationsListParameters)
def list_runs(scope: Scope, given: EvaluationsListParameters) -> Json:
    """Return a page of a project's runs."""
    wanted = given.model_dump(mode="json", exclude_none=True)
    named = [set(wanted[name]) for name in ("id", "id_filter") if name in wanted]
    return run_pages.list_page(
        scope,
        given.project_id,
        run_pages.Filters(
            ids=sorted(set.intersection(*named)) if named else None,
            datasets=wanted.get("dataset_filter", ()),
            configs=wanted.get("config_filter", ()),
            statuses=wanted.get("status_filter", ()),
            start=given.start_date,
            end=given.end_date,
            evaluatee_id=given.evaluatee_id,
        ),
        sort=wanted.get("sort", ()),
        window=Window.of(given),
    )


@routes.read(
    "Evaluations_listAllForProject",
    "/projects/{project_id}/evaluations",
    EvaluationsListAllForProjectParameters,
)
def list_all(scope: Scope, given: EvaluationsListAllForProjectParameters) -> list[Json]:
    """Return all of a project's runs (deprecated upstream)."""
    return run_pages.list_all(
        scope,
        given.project_id,
        evaluatee_id=given.evaluatee_id,
        with_aggregates=bool(given.evaluator_aggregates),
    )
