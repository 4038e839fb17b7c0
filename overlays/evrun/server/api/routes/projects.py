"""Projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.server.api.operations import NoParameters, Routes
from evrun.server.store import projects
from evrun.server.store.pages import Window
from evrun_models import CreateProjectRequest, ProjectsGetParameters, ProjectsListParameters

if TYPE_CHECKING:
    from evrun.server.store.scope import Json, Scope

routes = Routes()


@routes.read("Projects_list", "/projects", ProjectsListParameters)
def list_projects(scope: Scope, given: ProjectsListParameters) -> Json:
    """Return a page of projects."""
    window = Window.of(given)
    if given.user_filter:
        # This server keeps no users, so none matches.
        return window.shown([], total=0, next_cursor=None)
    return projects.list_page(
        scope,
        window,
        name_filter=given.filter,
        sort_by=given.sort_by,
        order=given.order,
    )


@routes.write("Projects_create", "POST /projects", NoParameters, CreateProjectRequest, status=201)
def create(scope: Scope, _: NoParameters, body: CreateProjectRequest) -> Json:
    """Create a project."""
    return projects.create(scope, name=body.name, directory_id=body.directory_id)


@routes.read("Projects_get", "/projects/{id}", ProjectsGetParameters)
def get(scope: Scope, given: ProjectsGetParameters) -> Json:
    """Return a project."""
    return projects.get(scope, given.id)
