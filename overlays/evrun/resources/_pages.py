"""Walking through pages: which page comes next, and which of its records are new. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from evrun.results import EvaluatedDatapoint

if TYPE_CHECKING:
    from evrun.results import Page

T = TypeVar("T")


class Walk(Generic[T]):
    """Where an iteration over pages stands. It holds ids of one page and no records.

    New records in front push others onto the next page. What the page before has shown already is
    left out, so that nothing comes twice as long as less than a page is added between two requests.
    """

    def __init__(self, first: int) -> None:
        self.number: int | None = first
        """The page to ask for; None at the end."""
        self._first = first
        self._shown: frozenset[str] = frozenset()

    def take(self, page: Page[T]) -> list[T]:
        """Return the new records of the page that was asked for, and move on to the next."""
        assert self.number is not None  # noqa: S101 - the caller stops there
        fresh = [record for record in page.records if _id(record) not in self._shown]
        self._shown = frozenset(map(_id, page.records))
        # By the size that the server says: it may have lowered the one asked for.
        covered = (self.number - self._first + 1) * page.size
        self.number = self.number + 1 if page.records and covered < page.total else None
        return fresh


def _id(record: Any) -> str:
    subject = record.datapoint if isinstance(record, EvaluatedDatapoint) else record
    return str(subject.id)
