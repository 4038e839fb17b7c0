"""Arguments of calls: ids parsed, and None turned into the generator's "leave it out"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar, cast

from evrun._calls.fitting import fitted, nearest
from evrun._transport.json_data import described
from evrun.errors import InvalidRequestError
from evrun_api.types import UNSET, Unset

if TYPE_CHECKING:
    from evrun.ids import Id

T = TypeVar("T")
K = TypeVar("K")
X = TypeVar("X", bound=str)

MOST: Final = 1_000_000
"""Values in one list: what yields more may never end."""


def check_names(filters: Mapping[str, object], declared: type) -> None:
    """Raise `TypeError` for a keyword that the `TypedDict` does not declare.

    It would be dropped otherwise, and the list would hold more than was asked for.
    """
    for name in filters.keys() - declared.__annotations__.keys():
        close = nearest(name, [*declared.__annotations__])
        raise TypeError(f"unexpected keyword argument {name!r}{close}")


def given(value: T | None) -> T | Unset:
    """Return `value`; None is left out of the request."""
    return UNSET if value is None else value


def given_text(value: str | None, parameter: str) -> str | Unset:
    """Return a text; None is left out of the request. Raises `InvalidRequestError`."""
    return UNSET if value is None else text(value, parameter)


def text(value: str, parameter: str) -> str:
    """Return a text that can be sent. Raises `InvalidRequestError`."""
    return str(fitted(str, value, parameter))


def given_filter(values: Iterable[X] | None, parameter: str) -> list[X] | Unset:
    """Return the texts that a filter lets pass; None is left out of the request."""
    return UNSET if values is None else filter_texts(values, parameter)


def filter_texts(values: Iterable[X], parameter: str) -> list[X]:
    """Like `filter_values`, for texts."""
    return [
        cast("X", text(value, f"{parameter}[{index}]"))
        for index, value in enumerate(filter_values(values, parameter))
    ]


def given_id_filter(
    id_type: type[Id], values: Iterable[object] | None, parameter: str
) -> list[str] | Unset:
    """Like `given_filter`, for ids. Raises `InvalidIdError`."""
    if values is None:
        return UNSET
    return id_list(id_type, filter_values(values, parameter), parameter)


def filter_values(values: Iterable[T], parameter: str) -> list[T]:
    """Return `values` as a list. Raises `InvalidRequestError`, also for an empty one.

    A query cannot say "none of them": the parameter would vanish, and everything match.
    """
    several = listed(values, parameter)
    if not several:
        raise _empty(parameter)
    return several


def filter_pairs(values: Mapping[K, T] | None, parameter: str) -> list[tuple[K, T]]:
    """Return the pairs of a filter that is a mapping; none for None. Like `filter_values`."""
    if values is None:
        return []
    if not isinstance(values, Mapping):
        raise InvalidRequestError(
            f"{parameter}: got {described(values)}, expected a mapping to lists.",
            parameter=parameter,
        )
    if not values:
        raise _empty(parameter)
    return [*values.items()]


def _empty(parameter: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{parameter}: it is empty and would let everything pass. Name what is to be found, "
        "or leave it out.",
        parameter=parameter,
    )


def given_day(value: date | None, parameter: str) -> date | Unset:
    """Return `value`, a day; None is left out. Raises `InvalidRequestError`."""
    if isinstance(value, datetime):
        raise InvalidRequestError(
            f"{parameter}: got the moment {value.isoformat()}, and the API takes a day (UTC). "
            "Pass value.astimezone(timezone.utc).date().",
            parameter=parameter,
        )
    return _date(value, parameter)


def given_moment(value: date | datetime | None, parameter: str) -> date | datetime | Unset:
    """Return `value`, a day or an aware datetime; None is left out.

    Raises `InvalidRequestError`.
    """
    if isinstance(value, datetime):
        moment: datetime = fitted(datetime, value, parameter)
        return moment
    return _date(value, parameter)


def _date(value: date | None, parameter: str) -> date | Unset:
    if value is not None and not isinstance(value, date):
        raise InvalidRequestError(
            f"{parameter}: got {described(value)}, expected a datetime.date. "
            "Use date.fromisoformat.",
            parameter=parameter,
        )
    return given(value)


def given_id(id_type: type[Id], value: object, parameter: str) -> Id | Unset:
    """Return `value` as an id; None is left out. Raises `InvalidIdError`."""
    return UNSET if value is None else id_type.parse(value, parameter)


def id_list(id_type: type[Id], values: Iterable[object], parameter: str) -> list[str]:
    """Return `values` as ids; an error names the place. Raises `InvalidIdError`."""
    return [
        id_type.parse(value, f"{parameter}[{index}]")
        for index, value in enumerate(listed(values, parameter))
    ]


def given_id_list(
    id_type: type[Id], values: Iterable[object] | None, parameter: str
) -> list[str] | Unset:
    """Return `values` as ids; None is left out. Raises `InvalidIdError`."""
    return UNSET if values is None else id_list(id_type, values, parameter)


def listed(values: Iterable[T], parameter: str) -> list[T]:
    """Return `values` as a list. Raises `InvalidRequestError` for a single one."""
    # A text is iterable too, letter by letter: the commonest slip.
    if isinstance(values, str | bytes) or not issubclass(type(values), Iterable):
        raise InvalidRequestError(
            f"{parameter}: got {described(values)}, expected a list. "
            "Put brackets around a single one.",
            parameter=parameter,
        )
    several = [*islice(values, MOST + 1)]
    if len(several) > MOST:
        raise InvalidRequestError(
            f"{parameter}: it has more than {MOST} entries, or never ends. Send it in parts.",
            parameter=parameter,
        )
    return several
