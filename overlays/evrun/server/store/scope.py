"""On whose behalf, and in which transaction, the store works."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from sqlalchemy import bindparam, func, select

from evrun.server.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Executable, RowMapping, Select, Table

Json = dict[str, Any]
Lock = Literal["change", "stand"]
T = TypeVar("T")

PART = 1000
"""Values that one statement names: databases take a limited number (SQLite 32,766)."""


class Scope(NamedTuple):
    """One transaction, on behalf of one organisation."""

    connection: Connection
    organisation_id: str

    def rows(self, query: Executable) -> Sequence[RowMapping]:
        """Return all rows."""
        return self.connection.execute(query).mappings().all()

    def row(self, query: Executable) -> RowMapping | None:
        """Return the first row, or None."""
        return self.connection.execute(query).mappings().first()

    def count(self, query: Select[Any]) -> int:
        """Return how many rows the query has."""
        counted = select(func.count()).select_from(query.order_by(None).subquery())
        return self.connection.execute(counted).scalar_one()

    def owned(
        self,
        table: Table,
        id: str,  # noqa: A002
        noun: str,
        *,
        lock: Lock | None = None,
    ) -> RowMapping:
        """Return the organisation's row with this id.

        `lock` holds others off until the transaction ends: "change" those who would change the row
        or stand on it, "stand" those who would change it. (SQLite has one writer and locks
        nothing.) Raises `NotFoundError`, also for what belongs to another organisation.
        """
        asked = {"id": id, "organisation_id": self.organisation_id}
        row = self.connection.execute(_owned(table, lock), asked).mappings().first()
        if row is None:
            raise NotFoundError(f"There is no {noun} {id}.")
        return row

    def all(
        self, query: Select[Any], present: Callable[[Sequence[RowMapping]], list[Json]]
    ) -> list[Json]:
        """Return what `present` makes of all rows, which it gets in parts."""
        return [shown for part in parts(self.rows(query)) for shown in present(part)]


@cache
def _owned(table: Table, lock: Lock | None) -> Select[Any]:
    """Return what `Scope.owned` asks. Made once: making a statement costs more than asking it."""
    query = select(table).where(
        table.c.id == bindparam("id"), table.c.organisation_id == bindparam("organisation_id")
    )
    if lock == "change":
        return query.with_for_update()
    if lock == "stand":
        # As weak as what a foreign key takes anyway: only "change" waits for it.
        return query.with_for_update(read=True, key_share=True)
    return query


def parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield `values` in parts of which a statement can name each."""
    return (values[start : start + PART] for start in range(0, len(values), PART))


def now() -> datetime:
    """Return the present instant, in UTC."""
    return datetime.now(UTC)


def utc_text(instant: datetime) -> str:
    """Return an instant as answers show it, for what is kept within JSON."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
