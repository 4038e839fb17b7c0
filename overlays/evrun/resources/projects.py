"""Projects: where runs, configs and logs belong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import evolve

from evrun._calls import bodies
from evrun._calls.arguments import given, given_id, given_text
from evrun._calls.call import Call, bind
from evrun.ids import DirectoryId, PlainStr, ProjectId
from evrun.results import Page, Project
from evrun_api.api.projects import projects_create, projects_get, projects_list
from evrun_api.models import CreateProjectRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun.sorting import Order
    from evrun_api import AuthenticatedClient

SortBy = Literal["created_at", "updated_at", "name"]


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
        filter: str | None,
        user_filter: str | None,
        sort_by: SortBy,
        order: Order,
        page: int,
        size: int,
        cursor: str | None = None,
    ) -> Call[Page[Project]]:
        call = bind(
            Page[Project],
            projects_list.sync_detailed,
            projects_list.asyncio_detailed,
            client=self._client,
            filter_=given_text(filter, "filter"),
            user_filter=given_text(user_filter, "user_filter"),
            sort_by=sort_by,
            order=order,
            page=page,
            size=size,
            cursor=given(cursor),
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
        filter: str | None = None,
        user_filter: str | None = None,
        sort_by: SortBy = "created_at",
        order: Order = "desc",
        page: int = 0,
        size: int = 10,
        cursor: str | None = None,
    ) -> Page[Project]:
        """Return a page of projects; pages count from 0.

        `filter` is a part of the name, `user_filter` of a user's name or address; case does not
        matter. `cursor`: as in `Evaluations.list`.
        """
        return self._calls.list(
            filter=filter,
            user_filter=user_filter,
            sort_by=sort_by,
            order=order,
            page=page,
            size=size,
            cursor=cursor,
        ).run()

    def iter_all(
        self,
        *,
        filter: str | None = None,
        user_filter: str | None = None,
        sort_by: SortBy = "created_at",
        order: Order = "desc",
        page_size: int = 100,
    ) -> Iterator[Project]:
        """Yield projects, a request for each `page_size`; otherwise as `list`.

        Projects that are created or changed meanwhile: as in `Evaluations.iter_all`.
        """
        return self._calls.list(
            filter=filter,
            user_filter=user_filter,
            sort_by=sort_by,
            order=order,
            page=0,
            size=page_size,
        ).records()
