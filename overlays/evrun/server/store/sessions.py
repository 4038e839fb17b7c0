"""Sessions: logs that belong together. A reference of the caller's finds or makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from evrun.server.db.ids import new_id
from evrun.server.db.tables import logs, projects, sessions
from evrun.server.errors import InvalidValueError
from evrun.server.store.ordering import Key
from evrun.server.store.pages import page
from evrun.server.store.scope import Json, Scope, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from evrun.server.store.pages import Window


def create(scope: Scope, reference_id: str | None = None) -> str:
    """Create a session and return its id."""
    session_id = new_id("sesh_")
    at = now()
    scope.connection.execute(
        insert(sessions).values(
            id=session_id,
            organisation_id=scope.organisation_id,
            reference_id=reference_id,
            created_at=at,
            updated_at=at,
        )
    )
    return session_id


def get(scope: Scope, session_id: str) -> Json:
    """Return a session."""
    return _present(scope, [scope.owned(sessions, session_id, "session")])[0]


def list_page(scope: Scope, project_id: str, window: Window) -> Json:
    """Return a page of the sessions that have logs of the project, newest first."""
    scope.owned(projects, project_id, "project")
    query = select(sessions).where(
        sessions.c.organisation_id == scope.organisation_id,
        select(logs.c.id)
        .where(logs.c.session_id == sessions.c.id, logs.c.project_id == project_id)
        .exists(),
    )
    newest = Key(sessions.c.id, descending=True)
    return page(scope, query, [newest], window, lambda rows: _present(scope, rows))


def resolve(scope: Scope, *, session_id: str | None, reference_id: str | None) -> str | None:
    """Return the id of the session that a log names, if it names one.

    A reference finds the organisation's session or makes it. Raises `NotFoundError` for an unknown
    id and `InvalidValueError` if both are there.
    """
    if session_id is not None and reference_id is not None:
        raise InvalidValueError(
            ("log", "session_reference_id"),
            "Send session_id or session_reference_id, not both.",
            type="contradiction",
        )
    if session_id is not None:
        scope.owned(sessions, session_id, "session")
    elif reference_id is not None:
        found = scope.row(
            select(sessions.c.id).where(
                sessions.c.organisation_id == scope.organisation_id,
                sessions.c.reference_id == reference_id,
            )
        )
        if found is None:
            return create(scope, reference_id)
        session_id = found["id"]
    else:
        return None
    scope.connection.execute(
        update(sessions).where(sessions.c.id == session_id).values(updated_at=now())
    )
    return session_id


def _present(scope: Scope, rows: Sequence[RowMapping]) -> list[Json]:
    return [_session_response(scope, row) for row in rows]


def _session_response(scope: Scope, row: RowMapping) -> Json:
    inside = logs.c.session_id == row["id"]
    count = scope.connection.execute(select(func.count()).where(inside)).scalar_one()
    first = scope.row(select(logs.c.body).where(inside).order_by(logs.c.id).limit(1))
    last = scope.row(select(logs.c.body).where(inside).order_by(logs.c.id.desc()).limit(1))
    shared = scope.rows(
        select(projects)
        .where(projects.c.id.in_(select(logs.c.project_id).where(inside)))
        .order_by(projects.c.id)
    )
    return {
        "id": row["id"],
        "reference_id": row["reference_id"],
        "projects": [
            {"id": project["id"], "name": project["name"], "type": "prompt"} for project in shared
        ],
        "datapoints_count": count,
        "first_inputs": first["body"].get("inputs") if first else None,
        "last_output": last["body"].get("output") if last else None,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
