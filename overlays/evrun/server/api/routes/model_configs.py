"""Model configs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.server.api.operations import NoParameters, Routes
from evrun.server.api.validation import with_defaults
from evrun.server.store import configs, project_configs
from evrun_models import ModelConfigsGetParameters, ProjectModelConfigRequest

if TYPE_CHECKING:
    from evrun.server.store.scope import Json, Scope

routes = Routes()


@routes.write(
    "ModelConfigs_register",
    "POST /model-configs",
    NoParameters,
    ProjectModelConfigRequest,
    status=200,
)
def register(scope: Scope, _: NoParameters, body: ProjectModelConfigRequest) -> Json:
    """Register a config to a project."""
    settings = with_defaults(body)
    return project_configs.register(
        scope,
        settings,
        project=settings.pop("project", None),
        project_id=settings.pop("project_id", None),
    )


@routes.read("ModelConfigs_get", "/model-configs/{id}", ModelConfigsGetParameters)
def get(scope: Scope, given: ModelConfigsGetParameters) -> Json:
    """Return a config."""
    return configs.get(scope, given.id)
