"""JSON in which every number is finite: a float can hold it, and so can both databases."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun.server.errors import Location

_DIGITS = 308
"""An integer with so many digits is in the range of a float."""


class NotFiniteError(Exception):
    """A number is not finite. `loc` is the path to the first one."""

    def __init__(self, loc: Location = ()) -> None:
        super().__init__(loc)
        self.loc = loc


def read(content: bytes) -> Any:
    """Return a body's JSON data.

    Raises `NotFiniteError`, and `ValueError` or `RecursionError` for a text that is not JSON or
    nests too deeply.
    """
    try:
        return json.loads(
            content, parse_constant=_refuse, parse_float=_finite, parse_int=_finite_integer
        )
    except NotFiniteError:
        raise NotFiniteError(_place(read_leniently(content))) from None


def read_leniently(content: bytes | str) -> Any:
    """Like `read`, but a number that is not finite becomes an infinity or NaN of Python's."""
    return json.loads(content, parse_int=_integer)


def _refuse(_: str) -> float:
    raise NotFiniteError


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotFiniteError
    return value


def _finite_integer(text: str) -> int:
    # First, because Python refuses to read more than 4,300 digits.
    if len(text) > _DIGITS:
        _finite(text)
    return int(text)


def _integer(text: str) -> float:
    try:
        return _finite_integer(text)
    except NotFiniteError:
        return float(text)


def _place(data: Any) -> Location:
    """Return where the first number that is not finite stands.

    The path is empty if none is left: of two members of one name the later counts.
    """
    place: list[str | int] = []
    levels: list[Iterator[tuple[str | int, Any]]] = [_members(data)]
    while levels:
        for name, value in levels[-1]:
            if isinstance(value, float) and not math.isfinite(value):
                return (*place, name)
            if isinstance(value, dict | list):
                place.append(name)
                levels.append(_members(value))
                break
        else:
            levels.pop()
            del place[-1:]
    return ()


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value if isinstance(value, list) else ()))
