"""What a database must offer. `Database` is built on it; nothing else uses it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import pydantic_core

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

OTHER_TABLES = (
    "the tables are not those that the server opened. Restore a backup if they are lost; then "
    "restart the server."
)
"""What follows a database's own words when a table or a column is gone."""


def json_text(value: Any) -> str:
    """Return how JSON is stored: what `json` writes too, and every log waits for it."""
    return pydantic_core.to_json(value).decode()


class Backend(ABC):
    """One kind of database at one place."""

    many_writers: bool
    """Whether writers run side by side, so that several processes are worth while."""
    busy_timeout: float
    """Seconds that a write waits for others."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call it: a path, or a URL without its password."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether `open` succeeded and `close` has not been called since."""

    @abstractmethod
    def open(self) -> None:
        """Connect, making or upgrading the schema if needed. Only while closed."""

    @abstractmethod
    def close(self, *, discard: bool = False) -> None:
        """Close what is idle. `discard` forgets connections that another process still uses."""

    @abstractmethod
    def rest(self) -> None:
        """Close idle connections; new ones open as they are needed."""

    @abstractmethod
    def revision(self) -> str | None:
        """Return the schema that is there, changing nothing. None if there is none."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one consistent state."""

    @abstractmethod
    def writing(self, *, patient: bool) -> AbstractContextManager[Connection]:
        """Open a transaction that commits durably at the end, or undoes all at an exception.

        Unless `patient`, it gives up soon on an object that another writer has locked, as if it
        had lost a race.
        """

    @abstractmethod
    def explain(self, error: BaseException) -> Exception | None:
        """Return our exception for one of the driver's, None for a defect of ours."""

    @abstractmethod
    def undone(self, error: BaseException) -> bool:
        """Return whether a commit that failed like this has certainly changed nothing."""

    @abstractmethod
    def lost_a_race(self, error: BaseException, *, patient: bool) -> bool:
        """Return whether another writer came first, so that the same work may succeed if redone.

        A lock that was waited for patiently is no race: it will not be free in a moment.
        """
