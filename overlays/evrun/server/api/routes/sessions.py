"""Sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.server.api.operations import NoParameters, Routes
from evrun.server.store import sessions
from evrun.server.store.pages import Window
from evrun_models import SessionsGetParameters, SessionsListParameters

if TYPE_CHECKING:
    from evrun.server.store.scope import Json, Scope

routes = Routes()


@routes.read("Sessions_list", "/sessions", SessionsListParameters)
def list_sessions(scope: Scope, given: SessionsListParameters) -> Json:
    """Return a page of the sessions that a project has logs in."""
    return sessions.list_page(scope, given.project_id, Window.of(given))


@routes.write("Sessions_create", "POST /sessions", NoParameters, None, status=201)
def create(scope: Scope, _: NoParameters, __: None) -> Json:
    """Create a session."""
    return {"id": sessions.create(scope)}


@routes.read("Sessions_get", "/sessions/{id}", SessionsGetParameters)
def get(scope: Scope, given: SessionsGetParameters) -> Json:
    """Return a session."""
    return sessions.get(scope, given.id)
