# Derived by scripts/derive_async.py from overlays/evrun/resources/logs.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Logs: read them, and complete them later.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.resources.logs import LogCalls, LogFilters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Unpack

    from evrun.ids import LogId, PlainStr, ProjectId
    from evrun.results import Log, Page
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
        page: int = 0,
        size: int = 50,
        cursor: str | None = None,
        **filters: Unpack[LogFilters],
    ) -> Page[Log]:
        """Return a page of a project's logs; pages count from 0.

        - `filters`: which logs, and `sort`: the keywords that `LogFilters` documents.
        - `cursor`: the `next_cursor` of an earlier page, as in `AsyncEvaluations.list`.
        """
        return await self._calls.list(
            project_id, page=page, size=size, cursor=cursor, **filters
        ).run_async()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page_size: int = 100,
        **filters: Unpack[LogFilters],
    ) -> AsyncIterator[Log]:
        """Yield a project's logs, a request for each `page_size`; `filters` as in `list`.

        Logs that are added, deleted or changed meanwhile: as in `AsyncEvaluations.iter_all`.
        """
        return self._calls.list(
            project_id, page=0, size=page_size, cursor=None, **filters
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
        """Complete the log that was given this `reference_id`, with the arguments of `update`."""
        return await self._calls.update_by_reference(
            reference_id, output=output, error=error, duration=duration
        ).run_async()
