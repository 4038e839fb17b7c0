# Derived by scripts/derive_async.py from overlays/evrun/resources/projects.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Projects: where runs, configs and logs belong.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.resources.projects import ProjectCalls, ProjectFilters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Unpack

    from evrun.ids import DirectoryId, PlainStr, ProjectId
    from evrun.results import Page, Project
    from evrun_api import AuthenticatedClient


class AsyncProjects:
    """The operations on projects: `client.projects`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = ProjectCalls(client)

    async def create(
        self,
        *,
        name: str,
        directory_id: DirectoryId | PlainStr | None = None,
    ) -> Project:
        """Create a project. Its name must be new in the organisation, else `ConflictError`."""
        return await self._calls.create(name=name, directory_id=directory_id).run_async()

    async def get(self, project_id: ProjectId | PlainStr) -> Project:
        """Return a project."""
        return await self._calls.get(project_id).run_async()

    async def list(
        self,
        *,
        page: int = 0,
        size: int = 10,
        cursor: str | None = None,
        **filters: Unpack[ProjectFilters],
    ) -> Page[Project]:
        """Return a page of projects; pages count from 0.

        - `filters`: which projects, in which order: the keywords that `ProjectFilters` documents.
        - `cursor`: the `next_cursor` of an earlier page, as in `AsyncEvaluations.list`.
        """
        return await self._calls.list(page=page, size=size, cursor=cursor, **filters).run_async()

    def iter_all(
        self,
        *,
        page_size: int = 100,
        **filters: Unpack[ProjectFilters],
    ) -> AsyncIterator[Project]:
        """Yield projects, a request for each `page_size`; `filters` as in `list`.

        Projects that are created or changed meanwhile: as in `AsyncEvaluations.iter_all`.
        """
        return self._calls.list(page=0, size=page_size, cursor=None, **filters).records_async()
