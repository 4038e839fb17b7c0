"""Sessions: logs that belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun._calls.arguments import given
from evrun._calls.call import Call, bind
from evrun.ids import PlainStr, ProjectId, SessionId
from evrun.results import CreatedSession, Page, Session
from evrun_api.api.sessions import sessions_create, sessions_get, sessions_list

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from evrun_api import AuthenticatedClient


class _Calls:
    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def create(self) -> Call[CreatedSession]:
        return bind(
            CreatedSession,
            sessions_create.sync_detailed,
            sessions_create.asyncio_detailed,
            client=self._client,
        )

    def get(self, session_id: object) -> Call[Session]:
        return bind(
            Session,
            sessions_get.sync_detailed,
            sessions_get.asyncio_detailed,
            SessionId.parse(session_id, "session_id"),
            client=self._client,
        )

    def list(
        self, project_id: object, *, page: int, size: int, cursor: str | None = None
    ) -> Call[Page[Session]]:
        return bind(
            Page[Session],
            sessions_list.sync_detailed,
            sessions_list.asyncio_detailed,
            client=self._client,
            project_id=ProjectId.parse(project_id, "project_id"),
            page=page,
            size=size,
            cursor=given(cursor),
        )


class Sessions:
    """The operations on sessions: `client.sessions`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = _Calls(client)

    def create(self) -> CreatedSession:
        """Create a session, whose id a log can name."""
        return self._calls.create().run()

    def get(self, session_id: SessionId | PlainStr) -> Session:
        """Return a session."""
        return self._calls.get(session_id).run()

    def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page: int = 1,
        size: int = 10,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Return a page of the sessions that have logs in a project; pages count from 1.

        `cursor`: as in `Evaluations.list`.
        """
        return self._calls.list(project_id, page=page, size=size, cursor=cursor).run()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page_size: int = 100,
    ) -> Iterator[Session]:
        """Yield sessions that have logs in a project, a request for each `page_size` of them.

        Sessions that come or go meanwhile: as in `Evaluations.iter_all`.
        """
        return self._calls.list(project_id, page=1, size=page_size).records()


class AsyncSessions:
    """Like `Sessions`, awaited."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = _Calls(client)

    async def create(self) -> CreatedSession:
        """Like `Sessions.create`, awaited."""
        return await self._calls.create().run_async()

    async def get(self, session_id: SessionId | PlainStr) -> Session:
        """Like `Sessions.get`, awaited."""
        return await self._calls.get(session_id).run_async()

    async def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page: int = 1,
        size: int = 10,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Like `Sessions.list`, awaited."""
        return await self._calls.list(project_id, page=page, size=size, cursor=cursor).run_async()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page_size: int = 100,
    ) -> AsyncIterator[Session]:
        """Like `Sessions.iter_all`, to iterate over with `async for`."""
        return self._calls.list(project_id, page=1, size=page_size).records_async()
