"""Sessions: logs that belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun._calls.arguments import given_text
from evrun._calls.call import Call, bind
from evrun.ids import PlainStr, ProjectId, SessionId
from evrun.results import CreatedSession, Page, Session
from evrun_api.api.sessions import sessions_create, sessions_get, sessions_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun_api import AuthenticatedClient


class SessionCalls:
    """One method for each operation; `Sessions` documents the arguments."""

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
            cursor=given_text(cursor, "cursor"),
        )


class Sessions:
    """The operations on sessions: `client.sessions`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = SessionCalls(client)

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
