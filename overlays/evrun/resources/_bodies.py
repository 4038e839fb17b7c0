"""Request bodies: from what a caller hands over to the generated model, ids and fields checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

import attrs

from evrun.errors import InvalidRequestError
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
from evrun_api.models import EvaluationLogItem, LogRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

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


_EXTRA = "additional_properties"  # attrs' own field beside the documented ones


class Model(Protocol):
    """A generated request model."""

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any], /) -> Self:
        """Return the model of JSON data."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data of the model."""
        ...


M = TypeVar("M", bound=Model)


def body(model: type[M], given: M | Mapping[str, Any], table: Table, parameter: str) -> M:
    """Return `given` as the generated `model`; `parameter` names it in errors.

    A mapping takes exactly the documented fields. None in it is sent as null; a field left out is
    not sent. Raises `InvalidRequestError`.
    """
    if isinstance(given, model):
        check_ids(given.to_dict(), table, parameter)
        return given
    if not isinstance(given, Mapping):
        raise InvalidRequestError(
            f"{parameter}: got {type(given).__name__}, expected a mapping of the documented fields "
            f"or a {model.__name__}.",
            parameter=parameter,
        )
    fields = attrs.fields_dict(cast("Any", model))
    # The generator appends "_" to the names of Python's builtins, such as `type`.
    known = [name.removesuffix("_") for name in fields if name != _EXTRA]
    for name in given:
        if name not in known:
            raise _unknown(name, known, parameter)
    plain = _plain(given, parameter)
    check_ids(plain, table, parameter)
    try:
        return model.from_dict(plain)
    except KeyError as error:
        raise InvalidRequestError(
            f"{parameter}: {error} is required.", parameter=parameter
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRequestError(
            f"{parameter}: does not fit {model.__name__} ({error}).", parameter=parameter
        ) from error


def log_item(given: object, parameter: str) -> dict[str, Any]:
    """Return the JSON data of one of many logs. None in it, but not in its log, is left out."""
    if isinstance(given, Mapping):
        given = {name: value for name, value in given.items() if value is not None}
        if "log" in given:
            given["log"] = body(LogRequest, given["log"], LOG, f"{parameter}.log")
    item: EvaluationLogItem = body(EvaluationLogItem, cast("Any", given), LOG_ITEM, parameter)
    return item.to_dict()


def _unknown(name: object, known: list[str], parameter: str) -> InvalidRequestError:
    nearest = get_close_matches(str(name), known, n=1, cutoff=0)[0]
    return InvalidRequestError(
        f"{parameter}: unknown field {name!r}; the nearest known one is {nearest!r}. "
        f"Known: {', '.join(sorted(known))}.",
        parameter=f"{parameter}.{name}",
    )


def _plain(value: Any, place: str) -> Any:  # noqa: C901 - one branch a kind of value
    """Return JSON data: generated models as dicts, datetimes as text. Raises `InvalidRequestError`.

    What JSON cannot say is refused here, where its place is known, and not by the encoder.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _unsendable(place, f"{value} is no number that JSON can say; send None")
        return value
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict(), place)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _unsendable(
                place,
                f"{value.isoformat()} has no time zone; "
                "use datetime.now(timezone.utc), or value.astimezone()",
            )
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{place}[{index}]") for index, entry in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _unsendable(place, f"the key {key!r} is no text, as JSON's keys are")
        return {key: _plain(entry, f"{place}.{key}") for key, entry in value.items()}
    raise _unsendable(
        place, f"a value of type {type(value).__name__} is nothing that JSON can say; convert it"
    )


def _unsendable(place: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{place}: {problem}.", parameter=place)


def check_ids(plain: Mapping[str, Any], table: Table, parameter: str) -> None:
    """Check every id in JSON data. Raises `InvalidIdError`."""
    for path, id_type in table.items():
        for place, value in _at(plain, path.split("."), parameter):
            if value is not None:
                id_type.parse(value, place)


def _at(node: Any, path: list[str], place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, list):
        for index, entry in enumerate(node):
            yield from _at(entry, path, f"{place}[{index}]")
    elif not path:
        yield place, node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _at(node[path[0]], path[1:], f"{place}.{path[0]}")
