"""Insert many rows at once, by SQLAlchemy's statement and conversions.

SQLAlchemy's own `insertmanyvalues` takes 1.4 to 2.2 times the CPU for each row (1 to 1,000 rows of
logs and of idempotency keys, in SQLite).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from evrun.server.db.tables import UtcDateTime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Table

    from evrun.server.store.scope import Json

    _Prepared = tuple[str, Mapping[str, Callable[[Any], Any] | None]]

_INSTANTS = 64
_PREPARED: dict[tuple[str, str], _Prepared] = {}
"""By the names of table and dialect."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Json]) -> None:
    """Insert rows that name every column of `table`."""
    if not rows:
        return
    dialect = connection.dialect
    prepared = _PREPARED.get((table.name, dialect.name))
    if prepared is None:
        prepared = _PREPARED[table.name, dialect.name] = _prepare(table, dialect)
    statement, converters = prepared
    columns = [
        [row[name] for row in rows]
        if convert is None
        else [None if row[name] is None else convert(row[name]) for row in rows]
        for name, convert in converters.items()
    ]
    values: list[Any] = list(zip(*columns, strict=True))
    if not dialect.positional:
        values = [dict(zip(converters, row, strict=True)) for row in values]
    connection.exec_driver_sql(statement, values)


def _prepare(table: Table, dialect: Dialect) -> _Prepared:
    """Return the statement, and what makes a database's values of ours, in its order."""
    statement = str(insert(table).compile(dialect=dialect))
    converters = {}
    for column in table.columns:
        convert = column.type.dialect_impl(dialect).bind_processor(dialect)
        if convert is not None and isinstance(column.type, UtcDateTime):
            convert = lru_cache(_INSTANTS)(convert)  # what is written at once has few of them
        converters[column.name] = convert
    return statement, converters
