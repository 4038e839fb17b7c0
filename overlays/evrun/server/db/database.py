"""The database: how it is opened, read and written, whichever it is.

Work is handed over as a function of a connection. `write` returns only after its commit is durable.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from evrun.server.db import forking
from evrun.server.db.backends import backend_for
from evrun.server.db.group_commit import GroupCommit, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from concurrent.futures import Future

    from sqlalchemy import URL, Connection

    from evrun.server.errors import ApiError

T = TypeVar("T")
Q = TypeVar("Q")

BUSY_TIMEOUT = 10.0
"""Seconds that a write waits for others before it is answered with 503."""

_FORK_TIMEOUT = 5.0  # seconds that a fork waits for running transactions


class Database(forking.Forkable):
    """The database at a SQLAlchemy URL: `sqlite:///evals.db` or `postgresql+psycopg://…`.

    A text is parsed, so that `%` and `?` in a file's name are written `%25` and `%3F`; a `URL` is
    taken as it is. It opens at its first use. Raises `DatabaseUnusableError` for an invalid URL.
    """

    def __init__(self, url: str | URL, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self._backend = backend_for(url, busy_timeout=busy_timeout)
        self._reset()
        forking.watch(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _reset(self) -> None:
        self._commits = GroupCommit(self._backend)
        self._opening = threading.Lock()
        self._active = 0  # transactions under way
        self._idle = threading.Condition()

    @property
    def name(self) -> str:
        """What messages call it: a path, or a URL without its password."""
        return self._backend.name

    @property
    def many_writers(self) -> bool:
        """Whether writers run side by side, so that several processes are worth while."""
        return self._backend.many_writers

    def open(self) -> None:
        """Open it, making or upgrading the schema if needed.

        Raises `DatabaseUnusableError` or `UnavailableError`. Opening twice is fine.
        """
        with self._opening:
            if not self._backend.is_open:
                with self._explained():
                    self._backend.open()

    def close(self) -> None:
        """Close it, after what waits was written. Using it again opens it again."""
        with self._opening:
            self._commits.stop()
            self._backend.close()

    def revision(self) -> str | None:
        """Return the revision of the schema that is there, None if there is none.

        Nothing is made or upgraded. Raises like `open`.
        """
        with self._explained():
            return self._backend.revision()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return `work`'s answer, from one consistent state. Raises `UnavailableError`."""
        self.open()
        with self._counted(), self._explained(), self._backend.reading() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return `work`'s answer after its changes are durable. Raises `UnavailableError`.

        Whatever `work` raises undoes its changes. It runs in another thread, together with other
        work. Where writers race, the work of the one that lost is undone and done again: so it must
        not change anything but the database.
        """
        return self.submit(work).result()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Like `write`, without waiting. The future may be cancelled until the work begins."""
        return self._begun(lambda commits: commits.submit(work))

    def ask(
        self,
        kind: Hashable,
        work: Callable[[Connection, Sequence[Q]], Sequence[T | ApiError]],
        question: Q,
        *,
        repeatable: bool = False,
    ) -> Future[T]:
        """Like `submit`, for `work` that answers all questions of its kind that wait, at once.

        A question that it refuses, by a `ApiError` for an answer, must have changed nothing. A
        `repeatable` one may be asked again although its changes are there: the answer is the same,
        and nothing changes. So it is if the connection breaks while it is committed.
        """
        return self._begun(lambda commits: commits.ask(kind, work, question, repeatable=repeatable))

    def _begun(self, submit: Callable[[GroupCommit], Future[T]]) -> Future[T]:
        self.open()
        with self._idle:
            self._active += 1
        try:
            future = submit(self._commits)
        except BaseException:
            self._finished(None)
            raise
        future.add_done_callback(self._finished)
        return future

    def _finished(self, _: object) -> None:
        with self._idle:
            self._active -= 1
            self._idle.notify_all()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._active += 1
        try:
            yield
        finally:
            self._finished(None)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            reason = explained(self._backend, error)
            if reason is error:
                raise
            raise reason from error

    def before_fork(self) -> None:
        """Wait for transactions under way, then close idle connections."""
        self._opening.acquire()
        deadline = time.monotonic() + _FORK_TIMEOUT
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
