"""What lists are sorted by: `column.asc`, `column.desc`, the first one first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun.server.refusals import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement

MOST = 32
"""Columns that one request can sort or filter by; databases stop at some number too."""


def sort_keys(
    sort: Sequence[str], column: Callable[[str], ColumnElement[Any]]
) -> Iterator[ColumnElement[Any]]:
    """Yield the keys to order by; `column` makes one of a name. Raises `Rule`.

    What has no value comes last either way, in every database.
    """
    orders: dict[str, str] = {}
    for each in sort:
        name, _, order = each.rpartition(".")
        orders.setdefault(name, order)  # the same column again decides nothing any more
    if len(orders) > MOST:
        raise Rule(("query", "sort"), f"Sort by at most {MOST} columns.", type="too_long")
    for name, order in orders.items():
        key = column(name)
        if getattr(key, "nullable", True):
            yield key.is_(None)
        yield key.desc() if order == "desc" else key.asc()
