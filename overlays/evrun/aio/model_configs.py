# Derived by scripts/derive_async.py from overlays/evrun/resources/model_configs.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Model configs: what a run evaluates.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun.resources.model_configs import ModelConfigCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evrun.ids import ConfigId, PlainStr
    from evrun.results import Json, ProjectConfig
    from evrun_api import AuthenticatedClient
    from evrun_api.models import ProjectModelConfigRequest


class AsyncModelConfigs:
    """The operations on model configs: `client.model_configs`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = ModelConfigCalls(client)

    async def register(
        self, config: ProjectModelConfigRequest | Mapping[str, Any]
    ) -> ProjectConfig:
        """Register a config with a project, which `project` (a name) or `project_id` in it says.

        `config` is a mapping of the documented fields, such as `{"project_id": "pr_…", "model":
        "gpt-4o", "temperature": 0}`. A project of that name is created if there is none.
        """
        return await self._calls.register(config).run_async()

    async def get(self, config_id: ConfigId | PlainStr) -> Json:
        """Return a config, as JSON data."""
        return await self._calls.get(config_id).run_async()
