"""Evaluation runs, awaited: the mirror of `evaluations`, which documents it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun._bulk.drive_async import perform_async
from evrun._bulk.plan import ManyLogs
from evrun.logged import LoggedItems, attached
from evrun.resources._evaluation_calls import EvaluationCalls, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
    from datetime import date

    from evrun._transport.exchange import Announced
    from evrun.ids import (
        ConfigId,
        DatapointId,
        DatasetId,
        EvaluateeId,
        EvaluationRunId,
        EvaluatorId,
        EvaluatorVersionId,
        LogId,
        PlainStr,
        ProjectId,
    )
    from evrun.logged import LoggedItem
    from evrun.results import (
        CreatedLog,
        EvaluatedDatapoint,
        EvaluationResult,
        EvaluationRun,
        LogOutcomes,
        Page,
    )
    from evrun.sorting import RunSort
    from evrun_api import AuthenticatedClient
    from evrun_api.models import LogRequest


class AsyncEvaluations:
    """Like `Evaluations`, awaited."""

    def __init__(self, client: AuthenticatedClient, announced: Announced) -> None:
        self._calls = EvaluationCalls(client)
        self._announced = announced

    async def log(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        datapoint_id: DatapointId | PlainStr,
        log: LogRequest | Mapping[str, Any],
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> CreatedLog:
        """Like `Evaluations.log`, awaited."""
        return await self._calls.log(
            evaluation_id, datapoint_id=datapoint_id, log=log, evaluatee_id=evaluatee_id
        ).run_async()

    async def log_batch(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        logs: Iterable[Mapping[str, Any]],
    ) -> LogOutcomes:
        """Like `Evaluations.log_batch`, awaited."""
        return await self._calls.log_batch(evaluation_id, logs=logs).run_async()

    async def log_many(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        items: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
        raise_on_error: bool = True,
    ) -> LoggedItems:
        """Like `Evaluations.log_many`, awaited."""
        done: list[LoggedItem] = []
        with attached(done):
            async for each in self.iter_log_many(
                evaluation_id, items, concurrency=concurrency, batch_size=batch_size
            ):
                done.append(each)  # noqa: PERF401 - they are there if it raises
        result = LoggedItems(tuple(done))
        return result.raise_on_error() if raise_on_error else result

    def iter_log_many(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        items: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
    ) -> AsyncIterator[LoggedItem]:
        """Like `Evaluations.iter_log_many`, to iterate over with `async for`."""
        many = ManyLogs(
            self._calls,
            self._announced,
            evaluation_id,
            concurrency=concurrency,
            batch_size=batch_size,
        )
        return perform_async(many, items)

    async def result(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        log_id: LogId | PlainStr,
        evaluator_id: EvaluatorId | PlainStr,
        result: bool | float | None = None,
        error: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> EvaluationResult:
        """Like `Evaluations.result`, awaited."""
        return await self._calls.result(
            evaluation_id,
            log_id=log_id,
            evaluator_id=evaluator_id,
            result=result,
            error=error,
            evaluatee_id=evaluatee_id,
        ).run_async()

    async def get(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        evaluator_aggregates: bool | None = None,
    ) -> EvaluationRun:
        """Like `Evaluations.get`, awaited."""
        return await self._calls.get(
            evaluation_id, evaluatee_id=evaluatee_id, evaluator_aggregates=evaluator_aggregates
        ).run_async()

    async def list_datapoints(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        page: int = 1,
        size: int = 10,
        cursor: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> Page[EvaluatedDatapoint]:
        """Like `Evaluations.list_datapoints`, awaited."""
        return await self._calls.list_datapoints(
            evaluation_id, page=page, size=size, cursor=cursor, evaluatee_id=evaluatee_id
        ).run_async()

    def iter_datapoints(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        page_size: int = 100,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> AsyncIterator[EvaluatedDatapoint]:
        """Like `Evaluations.iter_datapoints`, to iterate over with `async for`."""
        return self._calls.list_datapoints(
            evaluation_id, page=1, size=page_size, evaluatee_id=evaluatee_id
        ).records_async()

    async def create(
        self,
        *,
        project_id: ProjectId | PlainStr,
        config_id: ConfigId | PlainStr,
        dataset_id: DatasetId | PlainStr,
        evaluator_ids: Iterable[EvaluatorId | PlainStr],
        hl_generated: bool = False,
        name: str | None = None,
        provider_api_keys: Mapping[str, str] | None = None,
    ) -> EvaluationRun:
        """Like `Evaluations.create`, awaited."""
        return await self._calls.create(
            project_id=project_id,
            config_id=config_id,
            dataset_id=dataset_id,
            evaluator_ids=evaluator_ids,
            hl_generated=hl_generated,
            name=name,
            provider_api_keys=provider_api_keys,
        ).run_async()

    async def update_status(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        status: Status,
    ) -> EvaluationRun:
        """Like `Evaluations.update_status`, awaited."""
        return await self._calls.update_status(evaluation_id, status=status).run_async()

    async def add_evaluators(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        evaluator_ids: Iterable[EvaluatorId | PlainStr] | None = None,
        evaluator_version_ids: Iterable[EvaluatorVersionId | PlainStr] | None = None,
    ) -> EvaluationRun:
        """Like `Evaluations.add_evaluators`, awaited."""
        return await self._calls.add_evaluators(
            evaluation_id, evaluator_ids=evaluator_ids, evaluator_version_ids=evaluator_version_ids
        ).run_async()

    async def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        evaluation_ids: Iterable[EvaluationRunId | PlainStr] | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        sort: Iterable[RunSort] | None = None,
        id_filter: Iterable[EvaluationRunId | PlainStr] | None = None,
        dataset_filter: Iterable[str] | None = None,
        config_filter: Iterable[str] | None = None,
        status_filter: Iterable[Status] | None = None,
        page: int = 0,
        size: int = 50,
        cursor: str | None = None,
    ) -> Page[EvaluationRun]:
        """Like `Evaluations.list`, awaited."""
        return await self._calls.list(
            project_id,
            evaluation_ids=evaluation_ids,
            start_date=start_date,
            end_date=end_date,
            evaluatee_id=evaluatee_id,
            sort=sort,
            id_filter=id_filter,
            dataset_filter=dataset_filter,
            config_filter=config_filter,
            status_filter=status_filter,
            page=page,
            size=size,
            cursor=cursor,
        ).run_async()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        evaluation_ids: Iterable[EvaluationRunId | PlainStr] | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        sort: Iterable[RunSort] | None = None,
        id_filter: Iterable[EvaluationRunId | PlainStr] | None = None,
        dataset_filter: Iterable[str] | None = None,
        config_filter: Iterable[str] | None = None,
        status_filter: Iterable[Status] | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[EvaluationRun]:
        """Like `Evaluations.iter_all`, to iterate over with `async for`."""
        return self._calls.list(
            project_id,
            evaluation_ids=evaluation_ids,
            start_date=start_date,
            end_date=end_date,
            evaluatee_id=evaluatee_id,
            sort=sort,
            id_filter=id_filter,
            dataset_filter=dataset_filter,
            config_filter=config_filter,
            status_filter=status_filter,
            page=0,
            size=page_size,
        ).records_async()

    async def list_all_for_project(
        self,
        project_id: ProjectId | PlainStr,
        *,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        evaluator_aggregates: bool | None = None,
    ) -> tuple[EvaluationRun, ...]:
        """Like `Evaluations.list_all_for_project`, awaited."""
        return await self._calls.list_all_for_project(
            project_id, evaluatee_id=evaluatee_id, evaluator_aggregates=evaluator_aggregates
        ).run_async()
