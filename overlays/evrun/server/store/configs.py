"""Model configs. The same settings are the same config, so that registering twice is harmless."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from evrun.server.db.ids import new_id
from evrun.server.db.tables import model_configs
from evrun.server.errors import InvalidValueError
from evrun.server.store.scope import Json, Scope, now
from evrun.server.store.texts import require_storable

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

_TOOL_ID = re.compile(r"(?=.{,128}\Z)(config_|oc_)[A-Za-z0-9_-]+")
_LABELS = ("name", "description", "type")  # they change nothing about what a model answers


def get(scope: Scope, config_id: str) -> Json:
    """Return a config."""
    config = owned(scope, config_id)
    return config_response(config["id"], config["body"])


def owned(scope: Scope, config_id: str) -> RowMapping:
    """Return the row of a config. Raises `NotFoundError`."""
    return scope.owned(model_configs, config_id, "model config")


def find_or_insert(scope: Scope, settings: Json) -> RowMapping:
    """Return the row of the config with these settings, a `ModelConfigRequest` with defaults.

    Raises `InvalidValueError` for a tool whose id no answer could show.
    """
    _require_tool_ids(settings)
    require_storable({"model": settings["model"], "name": settings.get("name")})
    digest = _digest(settings)
    query = select(model_configs).where(
        model_configs.c.organisation_id == scope.organisation_id,
        model_configs.c.sha256 == digest,
    )
    found = scope.row(query)
    if found is not None:
        return found
    scope.connection.execute(
        insert(model_configs).values(
            id=new_id("config_"),
            organisation_id=scope.organisation_id,
            sha256=digest,
            model=settings["model"],
            name=settings.get("name"),
            body=settings,
            created_at=now(),
        )
    )
    inserted = scope.row(query)
    assert inserted is not None  # noqa: S101 - inserted above, in this transaction
    return inserted


def same_settings(config: RowMapping, settings: Json) -> bool:
    """Return whether `settings` would produce the same outputs as the config."""

    def essential(body: Json) -> Json:
        return {key: value for key, value in body.items() if key not in _LABELS}

    return _canonical(essential(config["body"])) == _canonical(essential(settings))


def config_response(config_id: str, body: Json) -> Json:
    """Return a `ModelConfigResponse`."""
    tools = body.get("tools")
    return {
        **body,
        "id": config_id,
        "type": "model",
        "tools": None if tools is None else [_tool(config_id, tool) for tool in tools],
    }


def _tool(config_id: str, tool: Json) -> Json:
    # A tool that stands in the config itself has no id of its own: it goes by the config's.
    tool_id = tool.get("id", config_id)
    return {
        **tool,
        "id": tool_id,
        "name": tool.get("name") or tool_id,
        "description": tool.get("description"),
        "parameters": tool.get("parameters"),
        "source": tool.get("source"),
    }


def _require_tool_ids(settings: Json) -> None:
    for index, tool in enumerate(settings.get("tools", ())):
        if "id" in tool and not _TOOL_ID.fullmatch(str(tool["id"])):
            raise InvalidValueError(
                ("tools", index, "id"),
                "A tool's id begins with oc_ or config_. Leave it out: the tool then goes by the "
                "config's.",
                type="string_pattern_mismatch",
            )


def _digest(settings: Json) -> str:
    return hashlib.sha256(_canonical(settings).encode()).hexdigest()


def _canonical(settings: Json) -> str:
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))
