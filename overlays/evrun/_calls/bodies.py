"""Request bodies: from what a caller hands over to the generated model, ids and fields checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from evrun._calls.fitting import fitted
from evrun.ids import (
    ConfigId,
    DatapointId,
    EvaluateeId,
    Id,
    LinkedToolId,
    LogId,
    ProjectId,
    ReferenceId,
    SessionId,
)
from evrun_api.models import EvaluationLogItem
from evrun_api.types import UNSET

Table = Mapping[str, type[Id]]

PROJECT_CONFIG: Table = {"project_id": ProjectId, "tools.id": LinkedToolId}
LOG: Table = {
    "project_id": ProjectId,
    "session_id": SessionId,
    "parent_id": ReferenceId,
    "source_datapoint_id": DatapointId,
    "config_id": ConfigId,
    "config.tools.id": LinkedToolId,
    "feedback.data_id": LogId,
}
LOG_ITEM: Table = {
    "datapoint_id": DatapointId,
    "evaluatee_id": EvaluateeId,
    **{f"log.{path}": id_type for path, id_type in LOG.items()},
}
"""Where ids stand in a body, by schema: dots lead inside, lists are walked through. A rule test
holds these tables against the contract."""


M = TypeVar("M")


def body(model: type[M], given: object, table: Table, parameter: str) -> M:
    """Return `given` as the generated `model`; `parameter` names it in errors.

    A mapping takes exactly the documented fields. None in it is sent as null; a field left out is
    not sent. Raises `InvalidRequestError`.
    """
    made: M = fitted(model, given, parameter, tuple(table.items()))
    return made


def checked(made: M) -> M:
    """Return a body made of arguments, each of them checked. Raises `InvalidRequestError`."""
    return body(type(made), made, {}, "")


def item(given: object, parameter: str) -> EvaluationLogItem:
    """Return one of many logs. None in it, but not in its log, is left out."""
    made = body(EvaluationLogItem, given, LOG_ITEM, parameter)
    for attribute in attrs.fields(EvaluationLogItem):
        if getattr(made, attribute.name) is None:
            setattr(made, attribute.name, UNSET)
    return made


def log_item(given: object, parameter: str) -> dict[str, Any]:
    """Return the JSON data of one of many logs. See `item`."""
    return item(given, parameter).to_dict()
