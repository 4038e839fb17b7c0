"""One run, bound: `client.run("evrun_…")`, so that its id is said once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun.ids import EvaluationRunId

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping

    from evrun.ids import DatapointId, EvaluateeId, EvaluatorId, EvaluatorVersionId, LogId, PlainStr
    from evrun.logged import LoggedItem, LoggedItems
    from evrun.resources.evaluations import AsyncEvaluations, Evaluations
    from evrun.results import CreatedLog, EvaluatedDatapoint, EvaluationResult, EvaluationRun, Page
    from evrun_api.models import LogRequest


class Run:
    """A run that is known by its id: every method is an operation on it."""

    def __init__(self, evaluations: Evaluations, evaluation_id: EvaluationRunId | PlainStr) -> None:
        self._evaluations = evaluations
        self.id = EvaluationRunId.parse(evaluation_id, "evaluation_id")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.id)!r})"

    def log(
        self,
        datapoint_id: DatapointId | PlainStr,
        *,
        log: LogRequest | Mapping[str, Any],
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> CreatedLog:
        """Like `Evaluations.log`, for this run."""
        return self._evaluations.log(
            self.id, datapoint_id=datapoint_id, log=log, evaluatee_id=evaluatee_id
        )

    def log_many(
        self,
        items: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
    ) -> LoggedItems:
        """Like `Evaluations.log_many`, for this run."""
        return self._evaluations.log_many(
            self.id, items, concurrency=concurrency, batch_size=batch_size
        )

    def iter_log_many(
        self,
        items: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
    ) -> Iterator[LoggedItem]:
        """Like `Evaluations.iter_log_many`, for this run."""
        return self._evaluations.iter_log_many(
            self.id, items, concurrency=concurrency, batch_size=batch_size
        )

    def result(
        self,
        log_id: LogId | PlainStr,
        *,
        evaluator_id: EvaluatorId | PlainStr,
        result: bool | float | None = None,
        error: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> EvaluationResult:
        """Like `Evaluations.result`, for this run."""
        return self._evaluations.result(
            self.id,
            log_id=log_id,
            evaluator_id=evaluator_id,
            result=result,
            error=error,
            evaluatee_id=evaluatee_id,
        )

    def get(
        self,
        *,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        evaluator_aggregates: bool | None = None,
    ) -> EvaluationRun:
        """Like `Evaluations.get`, for this run."""
        return self._evaluations.get(
            self.id, evaluatee_id=evaluatee_id, evaluator_aggregates=evaluator_aggregates
        )

    def datapoints(
        self,
        *,
        page: int = 1,
        size: int = 10,
        cursor: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> Page[EvaluatedDatapoint]:
        """Like `Evaluations.list_datapoints`, for this run."""
        return self._evaluations.list_datapoints(
            self.id, page=page, size=size, cursor=cursor, evaluatee_id=evaluatee_id
        )

    def iter_datapoints(
        self,
        *,
        page_size: int = 100,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> Iterator[EvaluatedDatapoint]:
        """Like `Evaluations.iter_datapoints`, for this run."""
        return self._evaluations.iter_datapoints(
            self.id, page_size=page_size, evaluatee_id=evaluatee_id
        )

    def add_evaluators(
        self,
        *,
        evaluator_ids: Iterable[EvaluatorId | PlainStr] | None = None,
        evaluator_version_ids: Iterable[EvaluatorVersionId | PlainStr] | None = None,
    ) -> EvaluationRun:
        """Like `Evaluations.add_evaluators`, for this run."""
        return self._evaluations.add_evaluators(
            self.id, evaluator_ids=evaluator_ids, evaluator_version_ids=evaluator_version_ids
        )

    def start(self) -> EvaluationRun:
        """Set the run `running`: from now on it takes logs and results."""
        return self._evaluations.update_status(self.id, status="running")

    def complete(self) -> EvaluationRun:
        """Set the run `completed`. `start` opens it again."""
        return self._evaluations.update_status(self.id, status="completed")

    def cancel(self) -> EvaluationRun:
        """Set the run `cancelled`, for good."""
        return self._evaluations.update_status(self.id, status="cancelled")


class AsyncRun:
    """Like `Run`, awaited."""

    def __init__(
        self, evaluations: AsyncEvaluations, evaluation_id: EvaluationRunId | PlainStr
    ) -> None:
        self._evaluations = evaluations
        self.id = EvaluationRunId.parse(evaluation_id, "evaluation_id")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.id)!r})"

    async def log(
        self,
        datapoint_id: DatapointId | PlainStr,
        *,
        log: LogRequest | Mapping[str, Any],
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> CreatedLog:
        """Like `Run.log`, awaited."""
        return await self._evaluations.log(
            self.id, datapoint_id=datapoint_id, log=log, evaluatee_id=evaluatee_id
        )

    async def log_many(
        self,
        items: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
    ) -> LoggedItems:
        """Like `Run.log_many`, awaited."""
        return await self._evaluations.log_many(
            self.id, items, concurrency=concurrency, batch_size=batch_size
        )

    def iter_log_many(
        self,
        items: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
    ) -> AsyncIterator[LoggedItem]:
        """Like `Run.iter_log_many`, to iterate over with `async for`."""
        return self._evaluations.iter_log_many(
            self.id, items, concurrency=concurrency, batch_size=batch_size
        )

    async def result(
        self,
        log_id: LogId | PlainStr,
        *,
        evaluator_id: EvaluatorId | PlainStr,
        result: bool | float | None = None,
        error: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> EvaluationResult:
        """Like `Run.result`, awaited."""
        return await self._evaluations.result(
            self.id,
            log_id=log_id,
            evaluator_id=evaluator_id,
            result=result,
            error=error,
            evaluatee_id=evaluatee_id,
        )

    async def get(
        self,
        *,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        evaluator_aggregates: bool | None = None,
    ) -> EvaluationRun:
        """Like `Run.get`, awaited."""
        return await self._evaluations.get(
            self.id, evaluatee_id=evaluatee_id, evaluator_aggregates=evaluator_aggregates
        )

    async def datapoints(
        self,
        *,
        page: int = 1,
        size: int = 10,
        cursor: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> Page[EvaluatedDatapoint]:
        """Like `Run.datapoints`, awaited."""
        return await self._evaluations.list_datapoints(
            self.id, page=page, size=size, cursor=cursor, evaluatee_id=evaluatee_id
        )

    def iter_datapoints(
        self,
        *,
        page_size: int = 100,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> AsyncIterator[EvaluatedDatapoint]:
        """Like `Run.iter_datapoints`, to iterate over with `async for`."""
        return self._evaluations.iter_datapoints(
            self.id, page_size=page_size, evaluatee_id=evaluatee_id
        )

    async def add_evaluators(
        self,
        *,
        evaluator_ids: Iterable[EvaluatorId | PlainStr] | None = None,
        evaluator_version_ids: Iterable[EvaluatorVersionId | PlainStr] | None = None,
    ) -> EvaluationRun:
        """Like `Run.add_evaluators`, awaited."""
        return await self._evaluations.add_evaluators(
            self.id, evaluator_ids=evaluator_ids, evaluator_version_ids=evaluator_version_ids
        )

    async def start(self) -> EvaluationRun:
        """Like `Run.start`, awaited."""
        return await self._evaluations.update_status(self.id, status="running")

    async def complete(self) -> EvaluationRun:
        """Like `Run.complete`, awaited."""
        return await self._evaluations.update_status(self.id, status="completed")

    async def cancel(self) -> EvaluationRun:
        """Like `Run.cancel`, awaited."""
        return await self._evaluations.update_status(self.id, status="cancelled")
