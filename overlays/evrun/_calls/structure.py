"""Turn what the generated client parsed into `evrun.results`: one converter for every class.

The classes' annotations say what to make: an id type parses its text, a tuple, a nested class or an
optional does the like for what it holds, `dict[str, Any]` keeps JSON as JSON, and scalars are
checked, because generated models check nothing. `UNSET` becomes None.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs

from evrun.ids import Id
from evrun_api.types import Unset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Converter = Callable[[Any, str], Any]
    """(value, path for messages) → result."""

_SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (float, int),
    datetime: (datetime,),
}


class MismatchError(ValueError):
    """A response that is not what the contract promises; the message names the place."""


def structure(result: Any, parsed: object, path: str = "") -> Any:
    """Return `parsed`, a generated model or a list of them, as `result`. Raises `MismatchError`."""
    return _converter(result)(parsed, path)


@cache
def _converter(kind: Any) -> Converter:  # noqa: PLR0911 - one return per kind of type
    if kind is Any:
        return lambda value, _path: _json(value)
    if isinstance(kind, type) and issubclass(kind, Id):
        return _id(kind)
    if kind is NoneType:
        return _nothing
    if kind in _SCALARS:
        return _scalar(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        return _union(arguments)
    if origin is Literal:
        return _literal(arguments)
    if origin is tuple:
        return _sequence(arguments[0], tuple)
    if origin is list:
        return _sequence(arguments[0], list)
    if origin is dict:
        return _mapping
    return _model(origin or kind, arguments)


def _id(kind: type[Id]) -> Converter:
    def convert(value: Any, path: str) -> Id:
        if isinstance(value, Unset):
            raise _mismatch(value, path, kind.noun)
        if not kind.accepts(value):
            raise MismatchError(f"{path}: {kind.fault(value)}; expected {kind.expected()}")
        return kind.parse(value)

    return convert


def _scalar(kind: Any) -> Converter:
    allowed = _SCALARS[kind]

    def convert(value: Any, path: str) -> Any:
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            raise _mismatch(value, path, kind.__name__)
        return value

    return convert


def _nothing(value: Any, path: str) -> None:
    if value is not None:
        raise _mismatch(value, path, "no content")


def _literal(choices: tuple[Any, ...]) -> Converter:
    def convert(value: Any, path: str) -> Any:
        if value not in choices:
            raise _mismatch(value, path, " or ".join(map(repr, choices)))
        return value

    return convert


def _union(members: tuple[Any, ...]) -> Converter:
    optional = NoneType in members
    # A literal is tried first: `ProjectId | Literal[""]`.
    rest = [member for member in members if member is not NoneType]
    rest.sort(key=_is_literal, reverse=True)
    converters = [_converter(member) for member in rest]

    def convert(value: Any, path: str) -> Any:
        if optional and (value is None or isinstance(value, Unset)):
            return None
        for attempt in converters[:-1]:
            try:
                return attempt(value, path)
            except MismatchError:
                continue
        return converters[-1](value, path)

    return convert


def _is_literal(member: Any) -> bool:
    origin: Any = get_origin(member)
    return origin is Literal


def _sequence(item: Any, make: Callable[[Iterator[Any]], Any]) -> Converter:
    each = _converter(item)

    def convert(value: Any, path: str) -> Any:
        value = getattr(value, "root", value)
        if not isinstance(value, list):
            raise _mismatch(value, path, "a list")
        return make(each(entry, f"{path}[{index}]") for index, entry in enumerate(value))

    return convert


def _mapping(value: Any, path: str) -> dict[str, Any]:
    plain = _json(value)
    if not isinstance(plain, dict):
        raise _mismatch(value, path, "an object")
    return plain


def _model(result: type[Any], arguments: tuple[Any, ...]) -> Converter:
    # Not before it is needed: a log holds results, which hold logs.
    fields_of = cache(lambda: _fields(result, arguments))

    def convert(value: Any, path: str) -> Any:
        if not attrs.has(type(value)):
            raise _mismatch(value, path, "an object")
        inside = f"{path}." if path else ""
        return result(
            **{name: make(_attribute(value, name), f"{inside}{name}") for name, make in fields_of()}
        )

    return convert


def _attribute(model: Any, name: str) -> Any:
    # The generator appends "_" to the names of Python's builtins, such as `type`.
    return getattr(model, name) if hasattr(model, name) else getattr(model, f"{name}_")


def _fields(result: type[Any], arguments: tuple[Any, ...]) -> list[tuple[str, Converter]]:
    known = dict(zip(getattr(result, "__parameters__", ()), arguments, strict=False))
    hints = attrs.fields_dict(attrs.resolve_types(result))
    return [(name, _converter(_bind(field.type, known))) for name, field in hints.items()]


def _bind(kind: Any, known: dict[Any, Any]) -> Any:
    """Put the type arguments of a generic class (`Page[Log]`) in place of its variables."""
    variables = getattr(kind, "__parameters__", ())
    return kind[tuple(known[variable] for variable in variables)] if variables else kind


def _json(value: Any) -> Any:
    """Return JSON data as a server sent it: generated models become dicts again."""
    if isinstance(value, Unset):
        return None
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return [_json(entry) for entry in value] if isinstance(value, list) else value


def _mismatch(value: Any, path: str, expected: str) -> MismatchError:
    if isinstance(value, Unset):
        return MismatchError(f"{path}: missing, expected {expected}")
    return MismatchError(f"{path or 'body'}: got {str(value)[:60]!r}, expected {expected}")
