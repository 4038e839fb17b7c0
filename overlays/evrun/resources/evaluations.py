"""Evaluation runs: log outputs and results to them, create them, read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun._bulk.drive import perform
from evrun._bulk.plan import ManyLogs
from evrun.logged import LoggedItems, attached
from evrun.resources._evaluation_calls import EvaluationCalls, RunFilters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Unpack

    from evrun._transport.exchange import Announced
    from evrun.fields import LogFields, LogItem, UntypedFields
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
        RunStatus,
    )
    from evrun_api import AuthenticatedClient
    from evrun_api.models import LogRequest

__all__ = ["Evaluations", "RunFilters"]


class Evaluations:
    """The operations on evaluation runs: `client.evaluations`."""

    def __init__(self, client: AuthenticatedClient, announced: Announced) -> None:
        self._calls = EvaluationCalls(client)
        self._announced = announced

    def log(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        datapoint_id: DatapointId | PlainStr,
        log: LogRequest | LogFields | UntypedFields,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> CreatedLog:
        """Log an output that was generated outside the platform, for one datapoint of a run.

        The run must be `running` and the datapoint in its dataset. Logging the same datapoint
        again keeps both logs; the newest counts.

        - `log`: a mapping of the fields of `LogFields`, such as `{"output": "Paris"}`, or a
          generated `LogRequest`. An unknown field is an error.
        - `evaluatee_id`: which of the run's evaluatees produced the output; the first if omitted.

        Raises `InvalidIdError` or `InvalidRequestError` before anything is sent, `StatusError` if
        the server refuses, `TransportError` if no answer comes, `DecodeError` if the answer is not
        what the contract promises.
        """
        return self._calls.log(
            evaluation_id, datapoint_id=datapoint_id, log=log, evaluatee_id=evaluatee_id
        ).run()

    def log_batch(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        logs: Iterable[LogItem | UntypedFields],
    ) -> LogOutcomes:
        """Send one request with up to 1,000 logs, to a server that has this operation (ours).

        `log_many` takes any number, goes to every server, and is what you want. Raises as `log`
        does if the request as a whole is refused; what became of each log stands in the result.
        """
        return self._calls.log_batch(evaluation_id, logs=logs).run()

    def log_many(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        items: Iterable[LogItem | UntypedFields],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
        raise_on_error: bool = True,
    ) -> LoggedItems:
        """Log any number of outputs; return what became of each, in order.

        - `items`: mappings as `LogItem`: `datapoint_id`, `log` and, if you like, `evaluatee_id` and
          `idempotency_key` (one is made otherwise). A generator may take its time: a batch leaves
          when it is full or a second old, also while the next item is made.
        - `batch_size`: logs in one request, 1,000 or what the server takes if omitted.
        - `concurrency`: calls at a time, to a server that takes only one log in each.
        - `raise_on_error`: whether failed items raise `LogsFailedError`, when all were sent. Its
          `result` holds what became of each, its `again` what to hand over once more. If false,
          the result is returned, and `LoggedItems.failed` says what failed.

        A failed item harms no other. Every log has an idempotency key that stays the same over all
        attempts.

        What no item can survive ends it at once, in every form: `InvalidItemError` for one with
        wrong fields, `InvalidRequestError` for a run that is not running (before an item is taken),
        and `LogsStoppedError` if the run or the key ends meanwhile. What `items` raises comes after
        what was taken before has been sent. If `AsyncEvaluations.log_many` is cancelled, it sends
        what it has taken for up to 5 seconds first.
        """
        done: list[LoggedItem] = []
        with attached(done):
            for each in self.iter_log_many(
                evaluation_id, items, concurrency=concurrency, batch_size=batch_size
            ):
                done.append(each)  # noqa: PERF402 - they are there if it raises
        result = LoggedItems(tuple(done))
        return result.raise_on_error() if raise_on_error else result

    def iter_log_many(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        items: Iterable[LogItem | UntypedFields],
        *,
        concurrency: int = 8,
        batch_size: int | None = None,
    ) -> Iterator[LoggedItem]:
        """Log any number of outputs; yield what became of each, in order, while others are sent.

        The arguments are those of `log_many`. A failed item is yielded, not raised. At most two
        batches are in memory. Nothing is sent before you iterate. If you leave the loop early, the
        items taken so far are sent. In async code, iterate within `contextlib.aclosing`: it waits
        for that.
        """
        many = ManyLogs(
            self._calls,
            self._announced,
            evaluation_id,
            concurrency=concurrency,
            batch_size=batch_size,
        )
        return perform(many, items)

    def result(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        log_id: LogId | PlainStr,
        evaluator_id: EvaluatorId | PlainStr,
        result: bool | float | None = None,
        error: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> EvaluationResult:
        """Record an evaluator's verdict on a log of the run.

        Pass exactly one of `result`, which must fit the evaluator's return type, and `error`. A
        second result for the same log and evaluator replaces the first. Raises as `log` does.
        """
        return self._calls.result(
            evaluation_id,
            log_id=log_id,
            evaluator_id=evaluator_id,
            result=result,
            error=error,
            evaluatee_id=evaluatee_id,
        ).run()

    def get(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        evaluator_aggregates: bool | None = None,
    ) -> EvaluationRun:
        """Return a run, with its aggregates if `evaluator_aggregates` is true."""
        return self._calls.get(
            evaluation_id, evaluatee_id=evaluatee_id, evaluator_aggregates=evaluator_aggregates
        ).run()

    def list_datapoints(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        page: int = 1,
        size: int = 10,
        cursor: str | None = None,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> Page[EvaluatedDatapoint]:
        """Return a page of the run's datapoints with their newest logs; pages count from 1.

        `cursor`: as in `list`.
        """
        return self._calls.list_datapoints(
            evaluation_id, page=page, size=size, cursor=cursor, evaluatee_id=evaluatee_id
        ).run()

    def iter_datapoints(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        page_size: int = 100,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
    ) -> Iterator[EvaluatedDatapoint]:
        """Yield the run's datapoints, a request for each `page_size` of them.

        The rows of a run never change. The log and the results of each are those of the moment in
        which its page was read.
        """
        return self._calls.list_datapoints(
            evaluation_id, page=1, size=page_size, evaluatee_id=evaluatee_id
        ).records()

    def create(
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
        """Create a run. It starts as `pending`: set it `running` before you log to it.

        - `hl_generated`: whether the platform generates the outputs. False here, although the API's
          own default is true: outputs that are logged come from outside.
        - `provider_api_keys`: sent for the vendor's platform only; our server keeps none of them.
        """
        return self._calls.create(
            project_id=project_id,
            config_id=config_id,
            dataset_id=dataset_id,
            evaluator_ids=evaluator_ids,
            hl_generated=hl_generated,
            name=name,
            provider_api_keys=provider_api_keys,
        ).run()

    def update_status(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        status: RunStatus,
    ) -> EvaluationRun:
        """Move a run from `pending` to `running` to `completed`, or back from there to `running`.

        `cancelled` is final. Setting the status that a run already has changes nothing.
        """
        return self._calls.update_status(evaluation_id, status=status).run()

    def add_evaluators(
        self,
        evaluation_id: EvaluationRunId | PlainStr,
        *,
        evaluator_ids: Iterable[EvaluatorId | PlainStr] | None = None,
        evaluator_version_ids: Iterable[EvaluatorVersionId | PlainStr] | None = None,
    ) -> EvaluationRun:
        """Add evaluators to a run, by id or by version; one that is there already stays."""
        return self._calls.add_evaluators(
            evaluation_id, evaluator_ids=evaluator_ids, evaluator_version_ids=evaluator_version_ids
        ).run()

    def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page: int = 0,
        size: int = 50,
        cursor: str | None = None,
        **filters: Unpack[RunFilters],
    ) -> Page[EvaluationRun]:
        """Return a page of a project's runs; pages count from 0.

        - `filters`: which runs, and `sort`: the keywords that `RunFilters` documents.
        - `cursor`: the `next_cursor` of an earlier page, with the same other arguments. The page
          begins behind the last run of that one, whatever was created, deleted or changed since;
          `page` then counts from there: leave it out.
        """
        return self._calls.list(project_id, page=page, size=size, cursor=cursor, **filters).run()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page_size: int = 100,
        **filters: Unpack[RunFilters],
    ) -> Iterator[EvaluationRun]:
        """Yield a project's runs, a request for each `page_size`; `filters` as in `list`.

        A run that matches from the first request to the last comes exactly once, whatever is
        created, deleted or changed meanwhile, also by the loop. What comes into the list meanwhile
        may come or not. With `sort`, a run that has not come yet is missed if its sort value
        changes to one that was passed already.

        A server of another kind, which counts pages, can miss runs: it is then told by a
        `MissedRecordsWarning`.
        """
        return self._calls.list(
            project_id, page=0, size=page_size, cursor=None, **filters
        ).records()

    def list_all_for_project(
        self,
        project_id: ProjectId | PlainStr,
        *,
        evaluatee_id: EvaluateeId | PlainStr | None = None,
        evaluator_aggregates: bool | None = None,
    ) -> tuple[EvaluationRun, ...]:
        """Return all runs of a project at once. Deprecated by the API: use `list`."""
        return self._calls.list_all_for_project(
            project_id, evaluatee_id=evaluatee_id, evaluator_aggregates=evaluator_aggregates
        ).run()
