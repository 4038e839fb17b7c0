"""Parses parameters and bodies by the contract's models. No routing, no store."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import pydantic_core
from pydantic import BaseModel, TypeAdapter, ValidationError

from evrun.server.api.json_body import first_not_finite
from evrun.server.errors import UnprocessableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams

    from evrun.server.api.json_body import JsonBody
    from evrun.server.errors import Location

T = TypeVar("T")
P = TypeVar("P", bound=BaseModel)

DEPTH_LIMIT = 200
"""Levels of objects and arrays in a body: the limit of pydantic's parser (a test compares them)."""

_MESSAGES = {"extra_forbidden": "There is no such field here. Correct its name, or leave it out."}
"""They replace pydantic's messages, by the type of the error."""


def parse_parameters(model: type[P], path: Mapping[str, Any], query: QueryParams) -> P:
    """Return the path and query parameters. Raises `UnprocessableError`.

    Undeclared parameters are ignored, unless the model allows extras. Extras are lists.
    """
    lists = _list_fields(model)
    values: dict[str, Any] = {
        name: query.getlist(name) if name in lists else query[name]
        for name in model.model_fields
        if name in query
    }
    if model.model_config.get("extra") == "allow":
        undeclared = query.keys() - model.model_fields.keys()
        values.update({name: query.getlist(name) for name in undeclared})
    values.update(path)
    for name, value in values.items():
        if "\0" in name or any("\0" in each for each in value):  # characters, or a list's texts
            place = ("path" if name in path else "query", name)
            raise UnprocessableError.at(
                place, "It must not hold the character U+0000.", type="nul_character"
            )
    try:
        parsed = model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error, lambda loc: ("path" if loc[0] in path else "query", *loc)) from error
    _refuse_numbers_as_times(parsed, values, ("query",))
    return parsed


@cache
def _list_fields(model: type[BaseModel]) -> set[str]:
    return {
        name
        for name, field in model.model_fields.items()
        if any(get_origin(each) is list for each in (field.annotation, *get_args(field.annotation)))
    }


def parse_body(adapter: TypeAdapter[T], body: JsonBody) -> T:
    """Return the JSON body. Raises `UnprocessableError`.

    Strict: `"1"` is not a number, and `1` is not a boolean. Numbers must be finite, also within
    free-form objects, where pydantic would accept others.
    """
    if not body.content.strip():
        raise UnprocessableError.at(("body",), "Field required", type="missing")
    _require_finite(body.data, is_finite=body.is_finite)
    return _validated(adapter, body.content, body.data)


def parse_inner(adapter: TypeAdapter[T], data: Any, *, is_finite: bool) -> T:
    """Return a body within another one, as if it had come alone.

    Raises `UnprocessableError`. `is_finite` says that every number of the outer body is finite.
    """
    _require_finite(data, is_finite=is_finite)
    try:
        content = pydantic_core.to_json(data)
    except ValueError:  # half of a surrogate pair, or too many levels
        content = json.dumps(data).encode()
    return _validated(adapter, content, data)


def parse_outer_body(adapter: TypeAdapter[T], body: JsonBody) -> T:
    """Return a body that holds others, which `parse_inner` reads. Raises `UnprocessableError`.

    An invalid inner body does not keep the others from being read. An invalid outer one is refused
    as `parse_body` refuses.
    """
    if body.error is None:
        with suppress(ValidationError):  # its words are about Python
            return adapter.validate_python(body.data, strict=True)
    return parse_body(adapter, body)


def _validated(adapter: TypeAdapter[T], content: bytes, data: Any) -> T:
    try:
        parsed = adapter.validate_json(content, strict=True)
    except ValidationError as error:
        raise _too_deep(error) or _invalid(error, lambda loc: ("body", *loc)) from error
    _refuse_numbers_as_times(parsed, data, ("body",))
    return parsed


def _require_finite(data: Any, *, is_finite: bool) -> None:
    """Raise `UnprocessableError` for a number that is not finite, unless `is_finite`."""
    if not is_finite and (place := first_not_finite(data)) is not None:
        message = "A number must be finite: between -1.8e308 and 1.8e308, and not NaN or Infinity."
        raise UnprocessableError.at(("body", *place), message, type="finite_number")


def _too_deep(error: ValidationError) -> UnprocessableError | None:
    """Return the error for a body that nests deeper than pydantic's parser reads."""
    (first, *_) = error.errors(include_url=False)
    if "recursion limit" not in first.get("ctx", {}).get("error", ""):
        return None
    msg = f"The body nests deeper than {DEPTH_LIMIT} levels"
    return UnprocessableError.at(("body",), msg, type="json_invalid")


def _refuse_numbers_as_times(parsed: Any, given: Any, loc: Location) -> None:
    """Raise `UnprocessableError` for a number given as a time.

    pydantic takes `20240101` for a day of 1970.
    """
    if isinstance(parsed, BaseModel):
        for key, name in _names(type(parsed)):
            if key in given:
                # Not as an attribute: a deprecated one warns.
                _refuse_numbers_as_times(vars(parsed)[name], given[key], (*loc, key))
    elif isinstance(parsed, list):
        for index, each in enumerate(parsed):
            _refuse_numbers_as_times(each, given[index], (*loc, index))
    elif isinstance(parsed, date) and "-" not in given.lstrip("-"):
        msg = "Input should be a date or time as in 2024-05-01 or 2024-05-01T12:00:00Z"
        raise UnprocessableError.at(loc, msg, type="datetime_parsing")


@cache
def _names(model: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """Return the name of each field in JSON and in Python."""
    return tuple((field.alias or name, name) for name, field in model.model_fields.items())


def _invalid(error: ValidationError, place: Any) -> UnprocessableError:
    return UnprocessableError(
        [
            {
                "loc": list(place(each["loc"])),
                "msg": _MESSAGES.get(each["type"], each["msg"]),
                "type": each["type"],
            }
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    )


def as_sent(model: BaseModel) -> dict[str, Any]:
    """Return the fields of a body that were sent, as JSON data.

    A null counts as not sent, except in a field that the contract does not declare.
    """
    return _dumped(model, only_set=True)


def with_defaults(model: BaseModel) -> dict[str, Any]:
    """Return the fields of a body with the contract's defaults. A null counts as not sent."""
    return _dumped(model.model_validate(as_sent(model)), only_set=False)


def _dumped(model: BaseModel, *, only_set: bool) -> dict[str, Any]:
    # Not by `exclude_none`, which takes the nulls of unknown fields too.
    data = model.model_dump(mode="json", by_alias=True, exclude_unset=only_set)
    _drop_nulls(model, data)
    return data


def _drop_nulls(parsed: Any, data: Any) -> None:
    """Drop the nulls of declared fields from what was dumped of a model."""
    if isinstance(parsed, BaseModel):
        for key, name in _names(type(parsed)):
            if key in data and data[key] is None:
                del data[key]
            elif key in data:
                _drop_nulls(vars(parsed)[name], data[key])
    elif isinstance(parsed, list):
        for each, dumped in zip(parsed, data, strict=True):
            _drop_nulls(each, dumped)
