"""Model configs: what a run evaluates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun._calls import bodies
from evrun._calls.call import Call, bind
from evrun.ids import ConfigId, PlainStr
from evrun.results import Json, ProjectConfig
from evrun_api.api.model_configs import model_configs_get, model_configs_register
from evrun_api.models import ProjectModelConfigRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evrun_api import AuthenticatedClient


class ModelConfigCalls:
    """One method for each operation; `ModelConfigs` documents the arguments."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def register(
        self, config: ProjectModelConfigRequest | Mapping[str, Any]
    ) -> Call[ProjectConfig]:
        return bind(
            ProjectConfig,
            model_configs_register.sync_detailed,
            model_configs_register.asyncio_detailed,
            client=self._client,
            body=bodies.body(ProjectModelConfigRequest, config, bodies.PROJECT_CONFIG, "config"),
        )

    def get(self, config_id: object) -> Call[Json]:
        return bind(
            dict[str, Any],
            model_configs_get.sync_detailed,
            model_configs_get.asyncio_detailed,
            ConfigId.parse(config_id, "config_id"),
            client=self._client,
        )


class ModelConfigs:
    """The operations on model configs: `client.model_configs`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = ModelConfigCalls(client)

    def register(self, config: ProjectModelConfigRequest | Mapping[str, Any]) -> ProjectConfig:
        """Register a config with a project, which `project` (a name) or `project_id` in it says.

        `config` is a mapping of the documented fields, such as `{"project_id": "pr_…", "model":
        "gpt-4o", "temperature": 0}`. A project of that name is created if there is none.
        """
        return self._calls.register(config).run()

    def get(self, config_id: ConfigId | PlainStr) -> Json:
        """Return a config, as JSON data."""
        return self._calls.get(config_id).run()
