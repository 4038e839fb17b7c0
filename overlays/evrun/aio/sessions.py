# Derived by scripts/derive_async.py from overlays/evrun/resources/sessions.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Sessions: logs that belong together.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.resources.sessions import SessionCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from evrun.ids import PlainStr, ProjectId, SessionId
    from evrun.results import CreatedSession, Page, Session
    from evrun_api import AuthenticatedClient


class AsyncSessions:
    """The operations on sessions: `client.sessions`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = SessionCalls(client)

    async def create(self) -> CreatedSession:
        """Create a session, whose id a log can name."""
        return await self._calls.create().run_async()

    async def get(self, session_id: SessionId | PlainStr) -> Session:
        """Return a session."""
        return await self._calls.get(session_id).run_async()

    async def list(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page: int = 1,
        size: int = 10,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Return a page of the sessions that have logs in a project; pages count from 1.

        `cursor`: as in `AsyncEvaluations.list`.
        """
        return await self._calls.list(project_id, page=page, size=size, cursor=cursor).run_async()

    def iter_all(
        self,
        project_id: ProjectId | PlainStr,
        *,
        page_size: int = 100,
    ) -> AsyncIterator[Session]:
        """Yield sessions that have logs in a project, a request for each `page_size` of them.

        Sessions that come or go meanwhile: as in `AsyncEvaluations.iter_all`.
        """
        return self._calls.list(project_id, page=1, size=page_size).records_async()
