"""Parses parameters and bodies by the contract's models. No routing, no store."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from evrun.server.api import finite
from evrun.server.errors import UnprocessableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams

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
        if any("\0" in each for each in value):  # a text's characters or a list's texts
            place = ["path" if name in path else "query", name]
            message = "It must not hold the character U+0000."
            raise UnprocessableError([{"loc": place, "msg": message, "type": "nul_character"}])
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


def parse_body(adapter: TypeAdapter[T], content: bytes) -> T:
    """Return the JSON body. Raises `UnprocessableError`.

    Strict: `"1"` is not a number, and `1` is not a boolean. Numbers must be finite, also within
    free-form objects, where pydantic would accept others.
    """
    if not content.strip():
        raise UnprocessableError([{"loc": ["body"], "msg": "Field required", "type": "missing"}])
    plain = _plain(content)
    try:
        parsed = adapter.validate_json(content, strict=True)
    except ValidationError as error:
        raise _too_deep(error) or _invalid(error, lambda loc: ("body", *loc)) from error
    _refuse_numbers_as_times(parsed, plain, ("body",))
    return parsed


def _plain(content: bytes) -> Any:
    """Return the JSON data, None for what pydantic then refuses. Raises `InvalidValueError`."""
    try:
        return finite.read(content)
    except (ValueError, RecursionError):
        return None


def parse_outer_body(adapter: TypeAdapter[T], content: bytes) -> T:
    """Return a body whose items are not validated yet. Raises `UnprocessableError`.

    An invalid item does not prevent the others from being read.
    """
    try:
        return adapter.validate_python(finite.read_leniently(content.decode()), strict=True)
    except ValidationError as error:
        raise _invalid(error, lambda loc: ("body", *loc)) from error
    except (ValueError, RecursionError) as error:
        detail = {"loc": ["body"], "msg": f"Invalid JSON: {error}", "type": "json_invalid"}
        raise UnprocessableError([detail]) from error


def _too_deep(error: ValidationError) -> UnprocessableError | None:
    """Return the error for a body that nests deeper than pydantic's parser reads."""
    (first, *_) = error.errors(include_url=False)
    if "recursion limit" not in first.get("ctx", {}).get("error", ""):
        return None
    msg = f"The body nests deeper than {DEPTH_LIMIT} levels"
    return UnprocessableError([{"loc": ["body"], "msg": msg, "type": "json_invalid"}])


def _refuse_numbers_as_times(parsed: Any, given: Any, loc: Location) -> None:
    """Raise `UnprocessableError` for a number given as a time.

    pydantic takes `20240101` for a day of 1970.
    """
    if isinstance(parsed, BaseModel):
        for name, field in type(parsed).model_fields.items():
            key = field.alias or name
            if key in given:
                # Not as an attribute: a deprecated one warns.
                _refuse_numbers_as_times(vars(parsed)[name], given[key], (*loc, key))
    elif isinstance(parsed, list):
        for index, each in enumerate(parsed):
            _refuse_numbers_as_times(each, given[index], (*loc, index))
    elif isinstance(parsed, date) and "-" not in given.lstrip("-"):
        msg = "Input should be a date or time as in 2024-05-01 or 2024-05-01T12:00:00Z"
        raise UnprocessableError([{"loc": list(loc), "msg": msg, "type": "datetime_parsing"}])


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
        for name, field in type(parsed).model_fields.items():
            key = field.alias or name
            if key in data and data[key] is None:
                del data[key]
            elif key in data:
                _drop_nulls(vars(parsed)[name], data[key])
    elif isinstance(parsed, list):
        for each, dumped in zip(parsed, data, strict=True):
            _drop_nulls(each, dumped)
