"""Logs: read them, and complete them later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evrun.ids import LogId, PlainStr, ProjectId
from evrun.resources._arguments import given, given_list
from evrun.resources._call import Call, bind
from evrun.results import Log, Page
from evrun_api.api.logs import logs_get, logs_list, logs_update, logs_update_by_ref
from evrun_api.models import UpdateLogRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from evrun_api import AuthenticatedClient

VersionStatus = Literal["uncommitted", "committed", "deleted"]


class _Calls:
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
        search: str | None,
        metadata_search: str | None,
        version_status: VersionStatus | None,
        start_date: date | None,
        end_date: date | None,
        sort: Iterable[str] | None,
        source_filter: Iterable[str] | None,
        model_filter: Iterable[str] | None,
        page: int,
        size: int,
    ) -> Call[Page[Log]]:
        return bind(
            Page[Log],
            logs_list.sync_detailed,
            logs_list.asyncio_detailed,
            client=self._client,
            project_id=ProjectId.parse(project_id, "project_id"),
            search=given(search),
            metadata_search=given(metadata_search),
            version_status=given(version_status),
            start_date=given(start_date),
            end_date=given(end_date),
            sort=given_list(sort, "sort"),
            source_filter=given_list(source_filter, "source_filter"),
            model_filter=given_list(model_filter, "model_filter"),
            page=page,
            size=size,
        )

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
            reference_id=reference_id,
            body=_update(output, error, duration),
        )


def _update(output: str | None, error: str | None, duration: float | None) -> UpdateLogRequest:
    return UpdateLogRequest(output=given(output), error=given(error), duration=given(duration))


class Logs:
    """The operations on logs: `client.logs`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = _Calls(client)

    def get(self, log_id: LogId | PlainStr) -> Log:
        """Return a log."""
        return self._calls.get(log_id).run()

    def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        search: str | None = None,
        metadata_search: str | None = None,
        version_status: VersionStatus | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
        sort: Iterable[str] | None = None,
        source_filter: Iterable[str] | None = None,
        model_filter: Iterable[str] | None = None,
        page: int = 0,
        size: int = 50,
    ) -> Page[Log]:
        """Return a page of a project's logs; pages count from 0.

        - `search`: a part of an input or of the output; case does not matter.
        - `start_date`, `end_date`: created at this day or moment or later, and before that (UTC).
        - `sort`: columns as `source.asc`, `model.desc` or `timestamp.desc`.
        - `…_filter`: logs match any of the values given; several filters must all match.
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
            page=page,
            size=size,
        ).run()

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
        """Like `update`, for the log that was given this `reference_id`."""
        return self._calls.update_by_reference(
            reference_id, output=output, error=error, duration=duration
        ).run()


class AsyncLogs:
    """Like `Logs`, awaited."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = _Calls(client)

    async def get(self, log_id: LogId | PlainStr) -> Log:
        """Like `Logs.get`, awaited."""
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
        sort: Iterable[str] | None = None,
        source_filter: Iterable[str] | None = None,
        model_filter: Iterable[str] | None = None,
        page: int = 0,
        size: int = 50,
    ) -> Page[Log]:
        """Like `Logs.list`, awaited."""
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
            page=page,
            size=size,
        ).run_async()

    async def update(
        self,
        log_id: LogId | PlainStr,
        *,
        output: str | None = None,
        error: str | None = None,
        duration: float | None = None,
    ) -> Log:
        """Like `Logs.update`, awaited."""
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
        """Like `Logs.update_by_reference`, awaited."""
        return await self._calls.update_by_reference(
            reference_id, output=output, error=error, duration=duration
        ).run_async()
