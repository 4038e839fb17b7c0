# Derived by scripts/derive_async.py from overlays/evrun/run.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""One run, bound: `client.run("evrun_…")`, so that its id is said once.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.ids import EvaluationRunId

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable

    from evrun.aio.evaluations import AsyncEvaluations
    from evrun.fields import LogFields, LogItem, UntypedFields
    from evrun.ids import DatapointId, EvaluateeId, EvaluatorId, EvaluatorVersionId, LogId, PlainStr
    from evrun.logged import LoggedItem, LoggedItems
    from evrun.results import CreatedLog, EvaluatedDatapoint, EvaluationResult, EvaluationRun, Page
    from evrun_api.models import LogRequest


class AsyncRun:
    """A run that is known by its id: every method is an operation on it."""

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
        log: LogRequest | LogFields | UntypedFields,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> CreatedLog:
        """Log an output that was generated outside the platform, for one datapoint of this run.

        The run must be `running` and the datapoint in its dataset. Logging the same datapoint
        again keeps both logs; the newest counts.

        - `log`: a mapping of the fields of `LogFields`, such as `{"output": "Paris"}`, or a
          generated `LogRequest`. An unknown field is an error.
        - `evaluatee_id`: which of the run's evaluatees produced the output; the first if omitted.

        Raises `InvalidIdError` or `InvalidRequestError` before anything is sent, `StatusError` if
        the server refuses, and `TransportError` if no answer comes.
        """
        return await self._evaluations.log(
            self.id, datapoint_id=datapoint_id, log=log, evaluatee_id=evaluatee_id
        )

    async def log_many(
        self,
        items: Iterable[LogItem | UntypedFields] | AsyncIterable[LogItem | UntypedFields],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
        raise_on_error: bool = True,
    ) -> LoggedItems:
        """Log any number of outputs to this run; return what became of each, in order.

        - `items`: mappings as `LogItem`: `datapoint_id`, `log` and, if you like, `evaluatee_id` and
          `idempotency_key`. A generator may take its time: a batch leaves when it is full or a
          second old.
        - `batch_size`: logs in one request, 1,000 or what the server takes if omitted.
        - `concurrency`: calls at a time, to a server that takes only one log in each.
        - `raise_on_error`: whether failed items raise `LogsFailedError`, when all were sent. If
          false, the result is returned, and `LoggedItems.failed` says what failed.

        A failed item harms no other. `AsyncEvaluations.log_many` says what ends the call early.
        """
        return await self._evaluations.log_many(
            self.id,
            items,
            concurrency=concurrency,
            batch_size=batch_size,
            raise_on_error=raise_on_error,
        )

    def iter_log_many(
        self,
        items: Iterable[LogItem | UntypedFields] | AsyncIterable[LogItem | UntypedFields],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
    ) -> AsyncIterator[LoggedItem]:
        """Log any number of outputs to this run; yield what became of each, in order.

        The arguments are those of `log_many`. A failed item is yielded, not raised. Nothing is sent
        before you iterate. If you leave the loop early, the items taken so far are sent. In async
        code, iterate within `contextlib.aclosing`: it waits for that.
        """
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
        """Record an evaluator's verdict on a log of this run.

        Pass exactly one of `result`, which must fit the evaluator's return type, and `error`. A
        second result for the same log and evaluator replaces the first. Raises as `log` does.
        """
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
        """Return this run, with its aggregates if `evaluator_aggregates` is true."""
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
        """Return a page of the run's datapoints with their newest logs; pages count from 1.

        `cursor`: the `next_cursor` of the page before. `page` then counts from there: leave it out.
        """
        return await self._evaluations.list_datapoints(
            self.id, page=page, size=size, cursor=cursor, evaluatee_id=evaluatee_id
        )

    def iter_datapoints(
        self,
        *,
        page_size: int = 100,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> AsyncIterator[EvaluatedDatapoint]:
        """Yield the run's datapoints with their newest logs, a request for each `page_size`.

        The rows of a run never change. The log and the results of each are those of the moment in
        which its page was read.
        """
        return self._evaluations.iter_datapoints(
            self.id, page_size=page_size, evaluatee_id=evaluatee_id
        )

    async def add_evaluators(
        self,
        *,
        evaluator_ids: Iterable[EvaluatorId | PlainStr] | None = None,
        evaluator_version_ids: Iterable[EvaluatorVersionId | PlainStr] | None = None,
    ) -> EvaluationRun:
        """Add evaluators to this run, by id or by version; one that is there already stays."""
        return await self._evaluations.add_evaluators(
            self.id, evaluator_ids=evaluator_ids, evaluator_version_ids=evaluator_version_ids
        )

    async def start(self) -> EvaluationRun:
        """Set the run `running`: from now on it takes logs and results."""
        return await self._evaluations.update_status(self.id, status="running")

    async def complete(self) -> EvaluationRun:
        """Set the run `completed`. `start` opens it again."""
        return await self._evaluations.update_status(self.id, status="completed")

    async def cancel(self) -> EvaluationRun:
        """Set the run `cancelled`, for good."""
        return await self._evaluations.update_status(self.id, status="cancelled")
