"""The model configs that a project uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, insert, select, update

from evrun.server.db.tables import project_configs, projects
from evrun.server.errors import InvalidValueError
from evrun.server.store import configs
from evrun.server.store.projects import (
    count_logs,
    find_by_name,
    insert_project,
    project_config,
)
from evrun.server.store.scope import Json, Scope, now

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping


def register(scope: Scope, settings: Json, *, project: str | None, project_id: str | None) -> Json:
    """Register a config to the project named by id or by name; a new name makes a new project.

    The first config of a project becomes its active one. The same settings give the same config.
    """
    owner = _project(scope, name=project, project_id=project_id)
    config = configs.find_or_insert(scope, settings)
    use(scope, owner["id"], config["id"])
    used = scope.row(select(project_configs).where(_pair(owner["id"], config["id"])))
    assert used is not None  # noqa: S101 - `use` made it
    count = count_logs(scope, [owner["id"]]).get((owner["id"], config["id"]), 0)
    return project_config(owner, used, config, count)


def use(scope: Scope, project_id: str, config_id: str) -> None:
    """Note that a project uses a config, now."""
    at = now()
    again = scope.connection.execute(
        update(project_configs).where(_pair(project_id, config_id)).values(last_used=at)
    )
    if again.rowcount:
        return
    scope.connection.execute(
        insert(project_configs).values(
            project_id=project_id,
            config_id=config_id,
            created_at=at,
            updated_at=at,
            last_used=at,
        )
    )
    scope.connection.execute(
        update(projects)
        .where(projects.c.id == project_id, projects.c.active_config_id.is_(None))
        .values(active_config_id=config_id, updated_at=at)
    )


def _pair(project_id: str, config_id: str) -> ColumnElement[bool]:
    return and_(
        project_configs.c.project_id == project_id, project_configs.c.config_id == config_id
    )


def _project(scope: Scope, *, name: str | None, project_id: str | None) -> RowMapping:
    if project_id is not None:
        owner = scope.owned(projects, project_id, "project")
        if name is not None and name != owner["name"]:
            raise InvalidValueError(
                ("project",),
                f"The project {project_id} is named {owner['name']!r}. "
                "Send project or project_id, not both.",
                type="contradiction",
            )
        return owner
    if name is None:
        raise InvalidValueError(
            ("project",),
            "Name the project: send project (a name; a new one makes a new project) or project_id.",
            type="missing",
        )
    return find_by_name(scope, name, place="project") or scope.owned(
        projects, insert_project(scope, name=name, place="project"), "project"
    )
