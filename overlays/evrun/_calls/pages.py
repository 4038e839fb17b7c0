"""Walking through pages: which page comes next, and which of its records are new. No I/O."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from evrun.errors import MissedRecordsWarning
from evrun.results import EvaluatedDatapoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evrun.results import Page

T = TypeVar("T")

_MISSED = (
    "Records may have been missed: {}, and this server counts pages from the start of the list, so "
    "later records moved onto pages that were read already. If your loop changes what it lists, "
    "collect first: `for record in list(…)`. Else iterate again."
)
_CALLER = 4  # frames: `_suspect`, `take`, the generator of the call, the one that iterates


class Walk(Generic[T]):
    """Where an iteration over pages stands: behind a record, or at the number of a page.

    The first page of a server that can go on behind a record has a `next_cursor`. Then nothing that
    happens meanwhile moves a record to another page. By numbers it does: what comes again is left
    out, and `MissedRecordsWarning` tells of what may have been missed.

    A walk holds no records. It holds the ids of all that came where one can come again: by numbers,
    and if the order of the list can change (`reordered`).
    """

    def __init__(self, first: int, *, reordered: bool) -> None:
        self.place: Mapping[str, Any] | None = {"page": first}
        """The parameters that ask for the next page; None at the end."""
        self._first = self._number = first
        self._reordered = reordered
        self._by_cursor = False
        self._total = 0
        self._warned = False
        self._shown: set[str] = set()

    def take(self, page: Page[T]) -> list[T]:
        """Return the new records of the page that was asked for, and move on to the next."""
        self._by_cursor = self._by_cursor or page.next_cursor is not None
        if self._by_cursor:
            cursor = page.next_cursor
            # Pages count from the cursor.
            self.place = None if cursor is None else {"page": self._first, "cursor": cursor}
        else:
            self._suspect(page)
            self._number += 1
            more = page.records and self._before(page) < page.total
            self.place = {"page": self._number} if more else None
        fresh = [record for record in page.records if _id(record) not in self._shown]
        if self._reordered or not self._by_cursor:
            self._shown.update(map(_id, page.records))
        return fresh

    def _before(self, page: Page[T]) -> int:
        # By the size that the server says: it may have lowered the one asked for.
        return (self._number - self._first) * page.size

    def _suspect(self, page: Page[T]) -> None:
        """Warn once if records went: later ones may have moved onto pages that were read before."""
        had, self._total = self._total, page.total
        promised = min(page.size, page.total - self._before(page))
        if page.total < had:
            what = f"the list had {had} records and has {page.total} now"
        elif len(page.records) < promised:
            what = f"a page has {len(page.records)} records and should have {promised}"
        else:
            return
        if not self._warned:
            self._warned = True
            warnings.warn(_MISSED.format(what), MissedRecordsWarning, stacklevel=_CALLER)


def _id(record: Any) -> str:
    subject = record.datapoint if isinstance(record, EvaluatedDatapoint) else record
    return str(subject.id)
