# Derived by scripts/derive_async.py from overlays/evrun/resources/logs.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Logs: read them, and complete them later.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.resources.logs import EvaluatorFilter, FeedbackFilter, LogCalls, VersionStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from datetime import date

    from evrun.ids import LogId, PlainStr, ProjectId
    from evrun.results import Log, Page
    from evrun.sorting import LogSort
    from evrun_api import AuthenticatedClient


class AsyncLogs:
    """The operations on logs: `client.logs`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = LogCalls(client)

    async def get(self, log_id: LogId | PlainStr) -> Log:
        """Return a log."""
        return await self._calls.get(log_id).run_async()

    async def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        search: str | None = None,
        metadata_search: str | None = None,
        version_status: VersionStatus | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
        sort: Iterable[LogSort] | None = None,
        source_filter: Iterable[str] | None = None,
        model_filter: Iterable[str] | None = None,
        feedback_filter: FeedbackFilter | None = None,
        evaluator_filter: EvaluatorFilter | None = None,
        page: int = 0,
        size: int = 50,
        cursor: str | None = None,
    ) -> Page[Log]:
        """Return a page of a project's logs; pages count from 0.

        - `search`: a part of an input or of the output; case does not matter.
        - `start_date`, `end_date`: created at this day or moment or later, and before that (UTC).
        - `sort`: columns as `source.asc`, `model.desc`, `timestamp.desc`, or a `FeedbackSort`; the
          first one sorts first.
        - `…_filter`: logs match any of the values given; several filters must all match.
        - `feedback_filter`: by kind, as `{"rating": ["good"]}`; the newest of a kind counts.
        - `evaluator_filter`: verdicts by evaluator, as `{"evfn_…": [True]}`.
        - `cursor`: as in `AsyncEvaluations.list`.
        """
        return await self._calls.list(
            project_id,
            search=search,
            metadata_search=metadata_search,
            version_status=version_status,
            start_date=start_date,
            end_date=end_date,
            sort=sort,
            source_filter=source_filter,
            model_filter=model_filter,
            feedback_filter=feedback_filter,
            evaluator_filter=evaluator_filter,
            page=page,
            size=size,
            cursor=cursor,
        ).run_async()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        search: str | None = None,
        metadata_search: str | None = None,
        version_status: VersionStatus | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
        sort: Iterable[LogSort] | None = None,
        source_filter: Iterable[str] | None = None,
        model_filter: Iterable[str] | None = None,
        feedback_filter: FeedbackFilter | None = None,
        evaluator_filter: EvaluatorFilter | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Log]:
        """Yield a project's logs, a request for each `page_size`; otherwise as `list`.

        Logs that are added, deleted or changed meanwhile: as in `AsyncEvaluations.iter_all`.
        """
        return self._calls.list(
            project_id,
            search=search,
            metadata_search=metadata_search,
            version_status=version_status,
            start_date=start_date,
            end_date=end_date,
            sort=sort,
            source_filter=source_filter,
            model_filter=model_filter,
            feedback_filter=feedback_filter,
            evaluator_filter=evaluator_filter,
            page=0,
            size=page_size,
        ).records_async()

    async def update(
        self,
        log_id: LogId | PlainStr,
        *,
        output: str | None = None,
        error: str | None = None,
        duration: float | None = None,
    ) -> Log:
        """Complete a log; what is None stays as it is. `duration` is in seconds."""
        return await self._calls.update(
            log_id, output=output, error=error, duration=duration
        ).run_async()

    async def update_by_reference(
        self,
        reference_id: str,
        *,
        output: str | None = None,
        error: str | None = None,
        duration: float | None = None,
    ) -> Log:
        """Complete the log that was given this `reference_id`; the arguments are those of `update`."""
        return await self._calls.update_by_reference(
            reference_id, output=output, error=error, duration=duration
        ).run_async()
