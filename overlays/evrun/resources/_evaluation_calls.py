"""The calls of `evaluations`: arguments checked, generated functions bound. No I/O.

`Evaluations` documents the arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from attrs import evolve

from evrun._calls import bodies
from evrun._calls.arguments import (
    check_names,
    given,
    given_day,
    given_filter,
    given_id,
    given_id_filter,
    given_id_list,
    given_text,
    id_list,
    listed,
)
from evrun._calls.call import Call, bind
from evrun._calls.sorting import run_sort
from evrun.errors import InvalidRequestError
from evrun.ids import (
    ConfigId,
    DatapointId,
    DatasetId,
    EvaluateeId,
    EvaluationRunId,
    EvaluatorId,
    EvaluatorVersionId,
    LogId,
    ProjectId,
)
from evrun.results import (
    CreatedLog,
    EvaluatedDatapoint,
    EvaluationResult,
    EvaluationRun,
    LogOutcomes,
    Page,
)
from evrun_api.api.evaluations import (
    evaluations_add_evaluators,
    evaluations_create,
    evaluations_get,
    evaluations_list,
    evaluations_list_all_for_project,
    evaluations_list_datapoints,
    evaluations_log,
    evaluations_log_many,
    evaluations_result,
    evaluations_update_status,
)
from evrun_api.models import (
    AddEvaluatorsRequest,
    CreateEvaluationLogRequest,
    CreateEvaluationLogsRequest,
    CreateEvaluationRequest,
    CreateEvaluationResultLogRequest,
    LogRequest,
    ProviderApiKeys,
    UpdateEvaluationStatusRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date
    from typing import Unpack

    from evrun.ids import PlainStr
    from evrun.results import RunStatus
    from evrun.sorting import RunSort
    from evrun_api import AuthenticatedClient


class RunFilters(TypedDict, total=False):
    """Which runs `Evaluations.list` and `Evaluations.iter_all` return, and in which order.

    A run matches a filter if it has one of the values, and must match all filters.
    """

    evaluation_ids: Iterable[EvaluationRunId | PlainStr] | None
    """These runs only."""
    start_date: date | None
    """Created on this day (UTC) or later."""
    end_date: date | None
    """Created before this day (UTC)."""
    evaluatee_id: EvaluateeId | PlainStr | None
    """Runs of this evaluatee."""
    sort: Iterable[RunSort] | None
    """Columns as `dataset.asc`, `config.desc`, `status.asc`, or an `EvaluatorSort`. The first one
    sorts first."""
    id_filter: Iterable[EvaluationRunId | PlainStr] | None
    dataset_filter: Iterable[str] | None
    config_filter: Iterable[str] | None
    status_filter: Iterable[RunStatus] | None


class EvaluationCalls:
    """One method for each operation."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def log(
        self,
        evaluation_id: object,
        *,
        datapoint_id: object,
        log: object,
        evaluatee_id: object,
        idempotency_key: str | None = None,
    ) -> Call[CreatedLog]:
        return bind(
            CreatedLog,
            evaluations_log.sync_detailed,
            evaluations_log.asyncio_detailed,
            EvaluationRunId.parse(evaluation_id, "evaluation_id"),
            client=self._client,
            body=CreateEvaluationLogRequest(
                datapoint_id=DatapointId.parse(datapoint_id, "datapoint_id"),
                log=bodies.body(LogRequest, log, bodies.LOG, "log"),
            ),
            evaluatee_id=given_id(EvaluateeId, evaluatee_id, "evaluatee_id"),
            idempotency_key=given(idempotency_key),
        )

    def log_batch(self, evaluation_id: object, *, logs: Iterable[object]) -> Call[LogOutcomes]:
        return bind(
            LogOutcomes,
            evaluations_log_many.sync_detailed,
            evaluations_log_many.asyncio_detailed,
            EvaluationRunId.parse(evaluation_id, "evaluation_id"),
            client=self._client,
            body=CreateEvaluationLogsRequest(
                logs=[
                    bodies.item(log, f"logs[{index}]")
                    for index, log in enumerate(listed(logs, "logs"))
                ]
            ),
        )

    def result(
        self,
        evaluation_id: object,
        *,
        log_id: object,
        evaluator_id: object,
        result: bool | float | None,
        error: str | None,
        evaluatee_id: object,
    ) -> Call[EvaluationResult]:
        if (result is None) == (error is None):
            raise InvalidRequestError(
                "Pass exactly one of result=… (a bool, int or float) and error=… (a text).",
                parameter="result",
            )
        return bind(
            EvaluationResult,
            evaluations_result.sync_detailed,
            evaluations_result.asyncio_detailed,
            EvaluationRunId.parse(evaluation_id, "evaluation_id"),
            client=self._client,
            body=bodies.checked(
                CreateEvaluationResultLogRequest(
                    log_id=LogId.parse(log_id, "log_id"),
                    evaluator_id=EvaluatorId.parse(evaluator_id, "evaluator_id"),
                    result=given(result),
                    error=given(error),
                )
            ),
            evaluatee_id=given_id(EvaluateeId, evaluatee_id, "evaluatee_id"),
        )

    def get(
        self, evaluation_id: object, *, evaluatee_id: object, evaluator_aggregates: bool | None
    ) -> Call[EvaluationRun]:
        return bind(
            EvaluationRun,
            evaluations_get.sync_detailed,
            evaluations_get.asyncio_detailed,
            EvaluationRunId.parse(evaluation_id, "evaluation_id"),
            client=self._client,
            evaluator_aggregates=given(evaluator_aggregates),
            evaluatee_id=given_id(EvaluateeId, evaluatee_id, "evaluatee_id"),
        )

    def list_datapoints(
        self,
        evaluation_id: object,
        *,
        page: int,
        size: int,
        cursor: str | None = None,
        evaluatee_id: object,
    ) -> Call[Page[EvaluatedDatapoint]]:
        return bind(
            Page[EvaluatedDatapoint],
            evaluations_list_datapoints.sync_detailed,
            evaluations_list_datapoints.asyncio_detailed,
            EvaluationRunId.parse(evaluation_id, "evaluation_id"),
            client=self._client,
            page=page,
            size=size,
            cursor=given_text(cursor, "cursor"),
            evaluatee_id=given_id(EvaluateeId, evaluatee_id, "evaluatee_id"),
        )

    def create(
        self,
        *,
        project_id: object,
        config_id: object,
        dataset_id: object,
        evaluator_ids: Iterable[object],
        hl_generated: bool,
        name: str | None,
        provider_api_keys: Mapping[str, str] | None,
    ) -> Call[EvaluationRun]:
        body = CreateEvaluationRequest(
            config_id=ConfigId.parse(config_id, "config_id"),
            evaluator_ids=id_list(EvaluatorId, evaluator_ids, "evaluator_ids"),
            dataset_id=DatasetId.parse(dataset_id, "dataset_id"),
            hl_generated=hl_generated,
        )
        if name is not None:
            body.name = name
        if provider_api_keys is not None:
            body.provider_api_keys = bodies.body(
                ProviderApiKeys, provider_api_keys, {}, "provider_api_keys"
            )
        return bind(
            EvaluationRun,
            evaluations_create.sync_detailed,
            evaluations_create.asyncio_detailed,
            ProjectId.parse(project_id, "project_id"),
            client=self._client,
            body=bodies.checked(body),
        )

    def update_status(self, evaluation_id: object, *, status: RunStatus) -> Call[EvaluationRun]:
        return bind(
            EvaluationRun,
            evaluations_update_status.sync_detailed,
            evaluations_update_status.asyncio_detailed,
            EvaluationRunId.parse(evaluation_id, "evaluation_id"),
            client=self._client,
            body=bodies.checked(UpdateEvaluationStatusRequest(status=status)),
        )

    def add_evaluators(
        self,
        evaluation_id: object,
        *,
        evaluator_ids: Iterable[object] | None,
        evaluator_version_ids: Iterable[object] | None,
    ) -> Call[EvaluationRun]:
        return bind(
            EvaluationRun,
            evaluations_add_evaluators.sync_detailed,
            evaluations_add_evaluators.asyncio_detailed,
            EvaluationRunId.parse(evaluation_id, "evaluation_id"),
            client=self._client,
            body=AddEvaluatorsRequest(
                evaluator_ids=given_id_list(EvaluatorId, evaluator_ids, "evaluator_ids"),
                evaluator_version_ids=given_id_list(
                    EvaluatorVersionId, evaluator_version_ids, "evaluator_version_ids"
                ),
            ),
        )

    def list(
        self,
        project_id: object,
        *,
        page: int,
        size: int,
        cursor: str | None,
        **filters: Unpack[RunFilters],
    ) -> Call[Page[EvaluationRun]]:
        check_names(filters, RunFilters)
        sort = filters.get("sort")
        call = bind(
            Page[EvaluationRun],
            evaluations_list.sync_detailed,
            evaluations_list.asyncio_detailed,
            client=self._client,
            project_id=ProjectId.parse(project_id, "project_id"),
            id=given_id_filter(EvaluationRunId, filters.get("evaluation_ids"), "evaluation_ids"),
            start_date=given_day(filters.get("start_date"), "start_date"),
            end_date=given_day(filters.get("end_date"), "end_date"),
            evaluatee_id=given_id(EvaluateeId, filters.get("evaluatee_id"), "evaluatee_id"),
            sort=run_sort(sort),
            id_filter=given_id_filter(EvaluationRunId, filters.get("id_filter"), "id_filter"),
            dataset_filter=given_filter(filters.get("dataset_filter"), "dataset_filter"),
            config_filter=given_filter(filters.get("config_filter"), "config_filter"),
            status_filter=given_filter(filters.get("status_filter"), "status_filter"),
            page=page,
            size=size,
            cursor=given_text(cursor, "cursor"),
        )
        return evolve(call, reordered=sort is not None)

    def list_all_for_project(
        self, project_id: object, *, evaluatee_id: object, evaluator_aggregates: bool | None
    ) -> Call[tuple[EvaluationRun, ...]]:
        return bind(
            tuple[EvaluationRun, ...],
            evaluations_list_all_for_project.sync_detailed,
            evaluations_list_all_for_project.asyncio_detailed,
            ProjectId.parse(project_id, "project_id"),
            client=self._client,
            evaluatee_id=given_id(EvaluateeId, evaluatee_id, "evaluatee_id"),
            evaluator_aggregates=given(evaluator_aggregates),
        )
