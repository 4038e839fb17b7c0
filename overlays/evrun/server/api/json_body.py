"""The JSON of a body, read once: its data, its canonical form, and whether each number is finite.

A finite number is one that a float can hold, so that both databases can store it.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from evrun.server.errors import Location

_DIGITS = 308
"""An integer with so many digits is in the range of a float."""

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@frozen(eq=False)
class JsonBody:
    """A body."""

    content: bytes
    data: Any
    """None if it is not JSON. A number that is not finite is an infinity or NaN."""
    is_finite: bool
    """Whether every number is, also one that a later member of the same name replaces.

    So only if it is false, `data` may hold one that is not.
    """
    error: ValueError | RecursionError | None
    """Why it is not JSON."""

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Return what a body says."""
        numbers = _Numbers()
        try:
            data = json.loads(
                content.decode(),
                parse_constant=numbers.read_constant,
                parse_float=numbers.read_float,
                parse_int=numbers.read_integer,
            )
        except (ValueError, RecursionError) as error:
            return cls(content, data=None, is_finite=True, error=error)
        return cls(content, data, is_finite=numbers.are_finite, error=None)

    def canonical(self) -> bytes:
        """Return the canonical form, or the body as it came if it has none: it will be refused."""
        if self.error is not None:
            return self.content
        try:
            return canonical(self.data)
        except RecursionError:
            return self.content


def canonical(data: Any) -> bytes:
    """Return JSON data in the one form that all equal data has."""
    return _CANONICAL.encode(data).encode()


def first_not_finite(data: Any) -> Location | None:
    """Return the path to the first number that is not finite, None if there is none."""
    if isinstance(data, float) and not math.isfinite(data):
        return ()
    place: list[str | int] = []
    levels = [_members(data)]
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
    return None


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value if isinstance(value, list) else ()))


class _Numbers:
    """Makes numbers of text, and notes whether all of them are finite."""

    def __init__(self) -> None:
        self.are_finite = True

    def read_constant(self, text: str) -> float:
        """Return NaN or an infinity."""
        self.are_finite = False
        return float(text)

    def read_float(self, text: str) -> float:
        """Return the nearest float."""
        value = float(text)
        if math.isinf(value):
            self.are_finite = False
        return value

    def read_integer(self, text: str) -> float:
        """Return an integer, or an infinity where a float ends."""
        # First, because Python refuses to read more than 4,300 digits.
        if len(text) > _DIGITS and math.isinf(value := self.read_float(text)):
            return value
        return int(text)
