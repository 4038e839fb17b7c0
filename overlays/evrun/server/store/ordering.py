"""What lists are sorted by: `column.asc`, `column.desc`, the first one first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from sqlalchemy import Text, and_, false, func, literal, or_, tuple_

from evrun.server.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement

MOST = 32
"""Columns that one request can sort or filter by; databases stop at some number too."""

DISTINCT = 200
"""Characters by which texts are sorted: a cursor holds them, and must fit into an address."""


@frozen
class Key:
    """One of the values that a list is sorted by. What has no value comes last either way."""

    value: ColumnElement[Any]
    descending: bool = False
    nullable: bool = False

    def ordered(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return how to order by this key, of which `value` is the name in a query."""
        each = value.desc() if self.descending else value.asc()
        return each.nulls_last() if self.nullable else each

    def beyond(self, value: Any) -> ColumnElement[bool]:
        """Return whether this key comes later than `value`."""
        if value is None:
            return false()
        later = self.value < value if self.descending else self.value > value
        return or_(later, self.value.is_(None)) if self.nullable else later


def sort_keys(sort: Sequence[str], column: Callable[[str], ColumnElement[Any]]) -> Iterator[Key]:
    """Yield the keys to order by; `column` makes a value of a name. Raises `InvalidValueError`."""
    orders: dict[str, str] = {}
    for each in sort:
        name, _, order = each.rpartition(".")
        orders.setdefault(name, order)  # the same column again decides nothing any more
    if len(orders) > MOST:
        raise InvalidValueError(("sort",), f"Sort by at most {MOST} columns.", type="too_long")
    for name, order in orders.items():
        yield sort_key(column(name), descending=order == "desc")


def sort_key(value: ColumnElement[Any], *, descending: bool) -> Key:
    """Return the key for a column, or for a value that is computed."""
    nullable = getattr(value, "nullable", True)
    if isinstance(value.type, Text):
        value = func.substr(value, 1, DISTINCT, type_=value.type)
    return Key(value, descending, nullable)


def after(keys: Sequence[Key], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return whether a row comes later than that with these values. The last key is unique."""
    first, *rest = keys
    if not any(key.nullable for key in keys) and len({key.descending for key in keys}) == 1:
        # In one comparison, for which databases find the place in an index.
        row = tuple_(*(key.value for key in keys))
        last = tuple_(
            *(literal(value, key.value.type) for key, value in zip(keys, values, strict=True))
        )
        return row < last if first.descending else row > last
    # `== None` becomes IS NULL.
    return or_(first.beyond(values[0]), and_(first.value == values[0], after(rest, values[1:])))
