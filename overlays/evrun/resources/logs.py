"""Logs: read them, and complete them later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from attrs import evolve

from evrun._calls import bodies
from evrun._calls.arguments import (
    check_names,
    filter_pairs,
    filter_texts,
    filter_values,
    given,
    given_filter,
    given_moment,
    given_text,
    text,
)
from evrun._calls.call import Call, bind
from evrun._calls.fitting import fitted
from evrun._calls.sorting import log_sort
from evrun.ids import EvaluatorId, LogId, PlainStr, ProjectId
from evrun.results import Log, Page
from evrun_api.api.logs import logs_get, logs_list, logs_update, logs_update_by_ref
from evrun_api.models import UpdateLogRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from typing import Unpack

    from evrun.sorting import LogSort
    from evrun_api import AuthenticatedClient
    from evrun_api.types import Unset

VersionStatus = Literal["uncommitted", "committed", "deleted"]
FeedbackFilter = Mapping[str, Iterable[str]]
EvaluatorFilter = (
    Mapping[str, Iterable[bool | float]] | Mapping[EvaluatorId, Iterable[bool | float]]
)


class LogFilters(TypedDict, total=False):
    """Which logs `Logs.list` and `Logs.iter_all` return, and in which order.

    A log matches a filter if it has one of the values, and must match all filters.
    """

    search: str | None
    """A part of an input or of the output; case does not matter."""
    metadata_search: str | None
    """A part of the metadata; case does not matter."""
    version_status: VersionStatus | None
    start_date: date | None
    """Created at this day or moment (UTC) or later."""
    end_date: date | None
    """Created before this day or moment (UTC)."""
    sort: Iterable[LogSort] | None
    """Columns as `source.asc`, `model.desc`, `timestamp.desc`, or a `FeedbackSort`. The first one
    sorts first."""
    source_filter: Iterable[str] | None
    model_filter: Iterable[str] | None
    feedback_filter: FeedbackFilter | None
    """By kind, as `{"rating": ["good"]}`; the newest of a kind counts."""
    evaluator_filter: EvaluatorFilter | None
    """Verdicts by evaluator, as `{"evfn_…": [True]}`."""


class LogCalls:
    """One method for each operation; `Logs` documents the arguments."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def get(self, log_id: object) -> Call[Log]:
        return bind(
            Log,
            logs_get.sync_detailed,
            logs_get.asyncio_detailed,
            LogId.parse(log_id, "log_id"),
            client=self._client,
        )

    def list(
        self,
        project_id: object,
        *,
        page: int,
        size: int,
        cursor: str | None,
        **filters: Unpack[LogFilters],
    ) -> Call[Page[Log]]:
        check_names(filters, LogFilters)
        sort = filters.get("sort")
        call = bind(
            Page[Log],
            logs_list.sync_detailed,
            logs_list.asyncio_detailed,
            client=self._client,
            project_id=ProjectId.parse(project_id, "project_id"),
            search=given_text(filters.get("search"), "search"),
            metadata_search=given_text(filters.get("metadata_search"), "metadata_search"),
            version_status=cast(
                "VersionStatus | Unset",
                given_text(filters.get("version_status"), "version_status"),
            ),
            start_date=given_moment(filters.get("start_date"), "start_date"),
            end_date=given_moment(filters.get("end_date"), "end_date"),
            sort=log_sort(sort),
            source_filter=given_filter(filters.get("source_filter"), "source_filter"),
            model_filter=given_filter(filters.get("model_filter"), "model_filter"),
            page=page,
            size=size,
            cursor=given_text(cursor, "cursor"),
        )
        named = (
            *_by_feedback(filters.get("feedback_filter")),
            *_by_verdict(filters.get("evaluator_filter")),
        )
        return evolve(call, query=named, reordered=sort is not None)

    def update(
        self, log_id: object, *, output: str | None, error: str | None, duration: float | None
    ) -> Call[Log]:
        return bind(
            Log,
            logs_update.sync_detailed,
            logs_update.asyncio_detailed,
            LogId.parse(log_id, "log_id"),
            client=self._client,
            body=_update(output, error, duration),
        )

    def update_by_reference(
        self, reference_id: str, *, output: str | None, error: str | None, duration: float | None
    ) -> Call[Log]:
        return bind(
            Log,
            logs_update_by_ref.sync_detailed,
            logs_update_by_ref.asyncio_detailed,
            client=self._client,
            reference_id=text(reference_id, "reference_id"),
            body=_update(output, error, duration),
        )


def _update(output: str | None, error: str | None, duration: float | None) -> UpdateLogRequest:
    return bodies.checked(
        UpdateLogRequest(output=given(output), error=given(error), duration=given(duration))
    )


def _by_feedback(labels: FeedbackFilter | None) -> Iterator[tuple[str, str]]:
    for given_kind, each in filter_pairs(labels, "feedback_filter"):
        kind = text(given_kind, "feedback_filter")
        for label in filter_texts(each, f"feedback_filter[{kind!r}]"):
            yield f"feedback-{kind}_filter", label


def _by_verdict(verdicts: EvaluatorFilter | None) -> Iterator[tuple[str, str]]:
    # Its keys may be of either type, which no type variable can be.
    several: Mapping[Any, Iterable[bool | float]] | None = verdicts
    for given_id, each in filter_pairs(several, "evaluator_filter"):
        evaluator_id = EvaluatorId.parse(given_id, "evaluator_filter")
        place = f"evaluator_filter[{str(evaluator_id)!r}]"
        for verdict in filter_values(each, place):
            # As JSON, in which a verdict is posted: `true`, `0.5`.
            said = json.dumps(fitted(bool | float, verdict, place))
            yield f"evaluator-{evaluator_id}_filter", said


class Logs:
    """The operations on logs: `client.logs`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = LogCalls(client)

    def get(self, log_id: LogId | PlainStr) -> Log:
        """Return a log."""
        return self._calls.get(log_id).run()

    def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page: int = 0,
        size: int = 50,
        cursor: str | None = None,
        **filters: Unpack[LogFilters],
    ) -> Page[Log]:
        """Return a page of a project's logs; pages count from 0.

        - `filters`: which logs, and `sort`: the keywords that `LogFilters` documents.
        - `cursor`: the `next_cursor` of an earlier page, as in `Evaluations.list`.
        """
        return self._calls.list(project_id, page=page, size=size, cursor=cursor, **filters).run()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page_size: int = 100,
        **filters: Unpack[LogFilters],
    ) -> Iterator[Log]:
        """Yield a project's logs, a request for each `page_size`; `filters` as in `list`.

        Logs that are added, deleted or changed meanwhile: as in `Evaluations.iter_all`.
        """
        return self._calls.list(
            project_id, page=0, size=page_size, cursor=None, **filters
        ).records()

    def update(
        self,
        log_id: LogId | PlainStr,
        *,
        output: str | None = None,
        error: str | None = None,
        duration: float | None = None,
    ) -> Log:
        """Complete a log; what is None stays as it is. `duration` is in seconds."""
        return self._calls.update(log_id, output=output, error=error, duration=duration).run()

    def update_by_reference(
        self,
        reference_id: str,
        *,
        output: str | None = None,
        error: str | None = None,
        duration: float | None = None,
    ) -> Log:
        """Complete the log that was given this `reference_id`, with the arguments of `update`."""
        return self._calls.update_by_reference(
            reference_id, output=output, error=error, duration=duration
        ).run()
