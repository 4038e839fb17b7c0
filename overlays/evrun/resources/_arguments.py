"""Arguments of calls: ids parsed, and None turned into the generator's "leave it out"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from evrun.errors import InvalidRequestError
from evrun_api.types import UNSET, Unset

if TYPE_CHECKING:
    from evrun.ids import Id

T = TypeVar("T")


def given(value: T | None) -> T | Unset:
    """Return `value`; None is left out of the request."""
    return UNSET if value is None else value


def given_list(values: Iterable[T] | None, parameter: str) -> list[T] | Unset:
    """Return `values` as a list; None is left out of the request."""
    return UNSET if values is None else _listed(values, parameter)


def given_id(id_type: type[Id], value: object, parameter: str) -> Id | Unset:
    """Return `value` as an id; None is left out. Raises `InvalidIdError`."""
    return UNSET if value is None else id_type.parse(value, parameter)


def id_list(id_type: type[Id], values: Iterable[object], parameter: str) -> list[str]:
    """Return `values` as ids; an error names the place. Raises `InvalidIdError`."""
    return [
        id_type.parse(value, f"{parameter}[{index}]")
        for index, value in enumerate(_listed(values, parameter))
    ]


def given_id_list(
    id_type: type[Id], values: Iterable[object] | None, parameter: str
) -> list[str] | Unset:
    """Return `values` as ids; None is left out. Raises `InvalidIdError`."""
    return UNSET if values is None else id_list(id_type, values, parameter)


def _listed(values: Iterable[T], parameter: str) -> list[T]:
    # A text is iterable too, letter by letter: the commonest slip.
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidRequestError(
            f"{parameter}: got {type(values).__name__} {str(values)[:60]!r}, expected a list. "
            "Put brackets around a single one.",
            parameter=parameter,
        )
    return list(values)
