"""The database: how it is opened, read and written, whichever it is.

Work is handed over as a function of a connection. `write` returns only after its commit is durable.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import StatementError

from evrun.server import forking
from evrun.server.backends import backend_for
from evrun.server.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

T = TypeVar("T")

BUSY_TIMEOUT = 10.0
"""Seconds that a write waits for others before it is answered with 503."""

_ATTEMPTS = 20  # of a write that loses races; each loss means that another write succeeded
_FORK_PATIENCE = 5.0  # seconds that a fork waits for running transactions


class Database:
    """The database at a SQLAlchemy URL: `sqlite:///evals.db` or `postgresql+psycopg://…`.

    It opens at its first use. Raises `DatabaseUnusable` for a URL that is none.
    """

    def __init__(self, url: str, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self._backend = backend_for(url, busy_timeout=busy_timeout)
        self._reset()
        forking.watch(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _reset(self) -> None:
        self._opening = threading.Lock()
        self._active = 0  # transactions under way
        self._idle = threading.Condition()

    @property
    def name(self) -> str:
        """What messages call it: a path, or a URL without its password."""
        return self._backend.name

    @property
    def shares_processes(self) -> bool:
        """Whether several servers are meant to work on it at a time."""
        return self._backend.shares_processes

    def open(self) -> None:
        """Open it, making or upgrading the schema if needed.

        Raises `DatabaseUnusable` or `Unavailable`. Opening twice is fine.
        """
        with self._opening:
            if not self._backend.is_open:
                with self._explained():
                    self._backend.open()

    def close(self) -> None:
        """Close it. Using it again opens it again."""
        with self._opening:
            self._backend.close()

    def revision(self) -> str | None:
        """Return the revision of the schema that is there, None if there is none.

        Nothing is made or upgraded. Raises like `open`.
        """
        with self._explained():
            return self._backend.revision()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return `work`'s answer, from one consistent state. Raises `Unavailable`."""
        self.open()
        with self._counted(), self._explained(), self._backend.reading() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return `work`'s answer after its changes are durable. Raises `Unavailable`.

        Whatever `work` raises undoes its changes. Where writers race, the work of the one that lost
        is undone and done again: it must not change anything but the database.
        """
        self.open()
        with self._counted(), self._explained():
            for attempt in range(_ATTEMPTS):
                try:
                    with self._backend.writing() as connection:
                        return work(connection)
                except StatementError as error:
                    last = attempt == _ATTEMPTS - 1
                    if last or not self._backend.lost_a_race(_cause(error)):
                        raise
                    time.sleep(random.uniform(0, 0.002) * attempt)  # noqa: S311 - no secret
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._active += 1
        try:
            yield
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Refusal:
            raise
        except Exception as error:
            cause = _cause(error)
            # A column type may refuse a value; SQLAlchemy wraps what it raises.
            explained = cause if isinstance(cause, Refusal) else self._backend.explain(cause)
            if explained is None:
                raise
            raise explained from error

    def before_fork(self) -> None:
        """Wait for transactions under way, then close idle connections."""
        self._opening.acquire()
        deadline = time.monotonic() + _FORK_PATIENCE
        self._idle.acquire()
        while self._active and (left := deadline - time.monotonic()) > 0:
            self._idle.wait(left)
        self._backend.rest()

    def after_fork_in_parent(self) -> None:
        """Go on; connections open as they are needed."""
        self._idle.release()
        self._opening.release()

    def after_fork_in_child(self) -> None:
        """Start anew, without closing what the parent may still use."""
        self._backend.close(discard=True)
        self._reset()


def _cause(error: BaseException) -> BaseException:
    """Return the driver's error within SQLAlchemy's."""
    return error.orig if isinstance(error, StatementError) and error.orig else error
