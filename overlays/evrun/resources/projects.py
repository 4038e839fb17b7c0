"""Projects: where runs, configs and logs belong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

from attrs import evolve

from evrun._calls import bodies
from evrun._calls.arguments import check_names, given_id, given_text
from evrun._calls.call import Call, bind
from evrun.ids import DirectoryId, PlainStr, ProjectId
from evrun.results import Page, Project
from evrun_api.api.projects import projects_create, projects_get, projects_list
from evrun_api.models import CreateProjectRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Unpack

    from evrun.sorting import Order
    from evrun_api import AuthenticatedClient

SortBy = Literal["created_at", "updated_at", "name"]


class ProjectFilters(TypedDict, total=False):
    """Which projects `Projects.list` and `Projects.iter_all` return, and in which order."""

    filter: str | None
    """A part of the name; case does not matter."""
    user_filter: str | None
    """A part of a user's name or address; case does not matter."""
    sort_by: SortBy
    """`created_at` if omitted."""
    order: Order
    """`desc` if omitted."""


class ProjectCalls:
    """One method for each operation; `Projects` documents the arguments."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def create(self, *, name: str, directory_id: object) -> Call[Project]:
        return bind(
            Project,
            projects_create.sync_detailed,
            projects_create.asyncio_detailed,
            client=self._client,
            body=bodies.checked(
                CreateProjectRequest(
                    name=name, directory_id=given_id(DirectoryId, directory_id, "directory_id")
                )
            ),
        )

    def get(self, project_id: object) -> Call[Project]:
        return bind(
            Project,
            projects_get.sync_detailed,
            projects_get.asyncio_detailed,
            ProjectId.parse(project_id, "project_id"),
            client=self._client,
        )

    def list(
        self,
        *,
        page: int,
        size: int,
        cursor: str | None,
        **filters: Unpack[ProjectFilters],
    ) -> Call[Page[Project]]:
        check_names(filters, ProjectFilters)
        sort_by = filters.get("sort_by", "created_at")
        call = bind(
            Page[Project],
            projects_list.sync_detailed,
            projects_list.asyncio_detailed,
            client=self._client,
            filter_=given_text(filters.get("filter"), "filter"),
            user_filter=given_text(filters.get("user_filter"), "user_filter"),
            sort_by=sort_by,
            order=filters.get("order", "desc"),
            page=page,
            size=size,
            cursor=given_text(cursor, "cursor"),
        )
        return evolve(call, reordered=sort_by == "updated_at")


class Projects:
    """The operations on projects: `client.projects`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = ProjectCalls(client)

    def create(
        self,
        *,
        name: str,
        directory_id: DirectoryId | PlainStr | None = None,
    ) -> Project:
        """Create a project. Its name must be new in the organisation, else `ConflictError`."""
        return self._calls.create(name=name, directory_id=directory_id).run()

    def get(self, project_id: ProjectId | PlainStr) -> Project:
        """Return a project."""
        return self._calls.get(project_id).run()

    def list(
        self,
        *,
        page: int = 0,
        size: int = 10,
        cursor: str | None = None,
        **filters: Unpack[ProjectFilters],
    ) -> Page[Project]:
        """Return a page of projects; pages count from 0.

        - `filters`: which projects, in which order: the keywords that `ProjectFilters` documents.
        - `cursor`: the `next_cursor` of an earlier page, as in `Evaluations.list`.
        """
        return self._calls.list(page=page, size=size, cursor=cursor, **filters).run()

    def iter_all(
        self,
        *,
        page_size: int = 100,
        **filters: Unpack[ProjectFilters],
    ) -> Iterator[Project]:
        """Yield projects, a request for each `page_size`; `filters` as in `list`.

        Projects that are created or changed meanwhile: as in `Evaluations.iter_all`.
        """
        return self._calls.list(page=0, size=page_size, cursor=None, **filters).records()
