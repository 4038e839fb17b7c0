"""Projects: they hold configs, datasets, runs and logs. Names are unique in an organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from evrun.server.db.ids import new_id
from evrun.server.db.tables import logs, model_configs, project_configs, projects
from evrun.server.errors import ConflictError, InvalidValueError
from evrun.server.store.configs import config_response
from evrun.server.store.ordering import sort_key
from evrun.server.store.pages import page
from evrun.server.store.scope import Json, Scope, now
from evrun.server.store.searching import contains, fold
from evrun.server.store.texts import require_storable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from evrun.server.store.pages import Window

FEEDBACK_TYPES = ("rating", "action", "issue", "correction", "comment")
_SORTED_BY = {
    "created_at": projects.c.created_at,
    "updated_at": projects.c.updated_at,
    "name": projects.c.name,
}


def create(scope: Scope, *, name: str, directory_id: str | None = None) -> Json:
    """Create a project. Raises `ConflictError` if the name is taken."""
    if find_by_name(scope, name) is not None:
        raise ConflictError(
            f"There is a project named {name!r} already. Use it, or take another name."
        )
    return get(scope, insert_project(scope, name=name, directory_id=directory_id))


def get(scope: Scope, project_id: str) -> Json:
    """Return a project."""
    return _present(scope, [scope.owned(projects, project_id, "project")])[0]


def list_page(
    scope: Scope, window: Window, *, name_filter: str | None, sort_by: str, order: str
) -> Json:
    """Return a page of projects whose name contains `name_filter`, whatever its case."""
    query = select(projects).where(projects.c.organisation_id == scope.organisation_id)
    if name_filter:
        query = query.where(contains(projects.c.searchable, name_filter, "filter"))
    keys = [
        sort_key(each, descending=order == "desc") for each in (_SORTED_BY[sort_by], projects.c.id)
    ]
    return page(scope, query, keys, window, lambda rows: _present(scope, rows))


def find_by_name(scope: Scope, name: str, *, place: str = "name") -> RowMapping | None:
    """Return the project's row, or None. `place` is the body's field that names it."""
    require_storable({place: name})
    return scope.row(
        select(projects).where(
            projects.c.organisation_id == scope.organisation_id, projects.c.name == name
        )
    )


def insert_project(
    scope: Scope, *, name: str, directory_id: str | None = None, place: str = "name"
) -> str:
    """Insert a project and return its id. `place` is the body's field that names it."""
    if not name.strip():
        raise InvalidValueError(
            (place,), "A project's name must not be blank.", type="string_too_short"
        )
    project_id = new_id("pr_")
    at = now()
    scope.connection.execute(
        insert(projects).values(
            id=project_id,
            organisation_id=scope.organisation_id,
            name=name,
            searchable=fold(name),
            directory_id=directory_id,
            created_at=at,
            updated_at=at,
        )
    )
    return project_id


def project_config(
    project: RowMapping, used: RowMapping, config: RowMapping, num_datapoints: int
) -> Json:
    """Return a `ProjectConfigResponse`."""
    return {
        "project_id": project["id"],
        "project_name": project["name"],
        "created_at": used["created_at"],
        "updated_at": used["updated_at"],
        "last_used": used["last_used"],
        "num_datapoints": num_datapoints,
        "evaluation_aggregates": None,
        "config": config_response(config["id"], config["body"]),
    }


def count_logs(scope: Scope, project_ids: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return how many logs each (project, config) has."""
    counted = (
        select(logs.c.project_id, logs.c.config_id, func.count())
        .where(logs.c.project_id.in_(project_ids))
        .group_by(logs.c.project_id, logs.c.config_id)
    )
    return {
        (project_id, config_id): count
        for project_id, config_id, count in scope.connection.execute(counted)
    }


def _present(scope: Scope, rows: Sequence[RowMapping]) -> list[Json]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    counts = count_logs(scope, ids)
    used = {
        (row["project_id"], row["config_id"]): row
        for row in scope.rows(select(project_configs).where(project_configs.c.project_id.in_(ids)))
    }
    active = [row["active_config_id"] for row in rows if row["active_config_id"]]
    configs = {
        row["id"]: row
        for row in scope.rows(select(model_configs).where(model_configs.c.id.in_(active)))
    }

    def present(row: RowMapping) -> dict[str, Any]:
        pair = (row["id"], row["active_config_id"])
        config = (
            project_config(row, used[pair], configs[pair[1]], counts.get(pair, 0))
            if pair in used
            else None
        )
        return {
            "id": row["id"],
            "name": row["name"],
            "active_config": config,
            "users": [],
            "data_count": sum(n for (project, _), n in counts.items() if project == row["id"]),
            "feedback_types": [{"type": name, "values": None} for name in FEEDBACK_TYPES],
            "team_id": "tm_" + scope.organisation_id.partition("_")[2],
            "config_type": "model" if config else None,
            "active_evaluators": None,
            "directory_id": row["directory_id"],
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
        }

    return [present(row) for row in rows]
