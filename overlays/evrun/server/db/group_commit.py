"""Group commit: what waits to be written is committed together, and answered after that.

A commit costs a wait for the disk. While one is under way others queue up; the next one takes them
all. Each piece of work runs in a SAVEPOINT of the common transaction, so that one that is refused
undoes only itself. What is alike is done at once: a statement costs more than a row that it writes.

A connection that breaks during the commit leaves open whether it succeeded. What came under an
idempotency key is done again then: that finds what is there, and does what is not.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field
from sqlalchemy.exc import StatementError

from evrun.server.db.threads import Threads
from evrun.server.errors import (
    ApiError,
    ConflictError,
    InvalidValueError,
    OutcomeUnknownError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from sqlalchemy import Connection

    from evrun.server.db.backends import Backend

T = TypeVar("T")
Q = TypeVar("Q")

BATCH = 128
"""Pieces of work in one commit, at most: who comes first waits for all of them."""

_ATTEMPTS = 20  # of work that loses races; each loss means that another write succeeded
_IDLE = 5.0  # seconds after which the thread ends
_PATIENT = 8  # threads for what waits for other writers
_AWAY = 0.5  # seconds until a database that broke off a commit is tried again
_NO_THREAD = "The machine has no thread left for the server. Try again."


@define(eq=False)
class _Item:
    work: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    """Returns the answer to each of the questions, or why it is refused."""
    question: Any
    kind: Hashable | None = None
    """What has an equal one is asked at once; None is alone."""
    repeatable: bool = False
    """Whether doing it again does nothing if it is done."""
    doubt: OutcomeUnknownError | None = None
    """Set when a commit that may have succeeded had it."""
    future: Future[Any] = field(factory=Future)
    since: float = field(factory=time.monotonic)

    def alone(self, connection: Connection) -> Any:
        """Return the answer to this question. Raises `ApiError`."""
        (answer,) = self.work(connection, [self.question])
        if isinstance(answer, ApiError):
            raise answer
        return answer


_Settled = tuple[_Item, Any, BaseException | None]


class _Spoilt(Exception):  # noqa: N818 - no fault of any piece of work that is known
    """The common transaction cannot go on; nothing of it is there."""


class GroupCommit:
    """A queue of work, and one thread that does it. The thread starts and ends by itself."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._patient: Threads | None = None

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Return the future of `work`'s answer, which is there after its commit is durable."""
        return self._queue(_Item(_single, work))

    def ask(
        self,
        kind: Hashable,
        work: Callable[[Connection, Sequence[Q]], Sequence[T | ApiError]],
        question: Q,
        *,
        repeatable: bool = False,
    ) -> Future[T]:
        """Like `submit`, for `work` that can answer all questions of its kind that wait.

        A question that it refuses must have changed nothing. A `repeatable` one may be asked again
        although its changes are there: the answer is the same, and nothing changes.
        """
        return self._queue(_Item(work, question, kind, repeatable))

    def _queue(self, item: _Item) -> Future[Any]:
        """Queue work. It is done here if no thread can be started."""
        with self._changed:
            self._waiting.append(item)
            ours = [] if self._thread is not None or self._started() else self._taken()
            self._changed.notify()
        if ours:
            self._do(ours)
        return item.future

    def _started(self) -> bool:
        """Start the thread. Return False if the machine, or an interpreter that ends, has none."""
        thread = threading.Thread(target=self._run, name="evrun-writer", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def stop(self) -> None:
        """Do what waits, then end the threads. Whatever is submitted later starts them again."""
        with self._changed:
            thread, self._stopping = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join()
        if self._patient is not None:
            self._patient.shutdown()
        self._patient, self._stopping = None, False

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping, timeout=_IDLE)
                if not self._waiting:
                    self._thread = None
                    return
                batch = self._taken()
            self._do(batch)

    def _taken(self) -> list[_Item]:
        return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def _do(self, batch: list[_Item]) -> None:
        batch = [item for item in batch if item.future.set_running_or_notify_cancel()]
        try:
            self._commit(batch)
        except BaseException as error:  # noqa: BLE001 - a defect; the thread must outlive it
            for item in batch:
                if not item.future.done():
                    item.future.set_exception(error)

    def _commit(self, batch: list[_Item]) -> None:
        """Do a batch in one transaction; what must wait for other writers, on its own."""
        if len(batch) == 1 and not self._backend.many_writers:
            self._alone(batch[0])
            return
        try:
            settled, aside = self._together(batch)
        except _Spoilt:
            settled, aside = [], batch
        except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            for item in batch:
                self._fail(item, error)
            return
        for item, answer, refusal in settled:
            if refusal is None:
                item.future.set_result(answer)
            else:
                item.future.set_exception(refusal)
        for item in aside:
            self._aside(item)

    def _together(self, batch: list[_Item]) -> tuple[list[_Settled], list[_Item]]:
        """Return how each piece of work ended, and what is to be done on its own.

        A refusal may rest on what others of the batch wrote: it too counts after the commit only.
        """
        settled: list[_Settled] = []
        aside: list[_Item] = []
        committing = False
        try:
            with self._backend.writing(patient=False) as connection:
                for alike in _by_kind(batch):
                    if len(alike) > 1 and self._at_once(connection, alike, settled):
                        continue
                    aside += [each for each in alike if not self._one(connection, each, settled)]
                committing = True
        except StatementError as error:
            if not committing or self._undone(error):
                raise
            for item, _, refusal in settled:
                if refusal is None:  # the others had changed nothing
                    item.doubt = _doubt()
            return [], batch
        return settled, aside

    def _one(self, connection: Connection, item: _Item, settled: list[_Settled]) -> bool:
        """Do one piece of work. Return False if it lost a race."""
        try:
            with connection.begin_nested():
                settled.append((item, item.alone(connection), None))
        except StatementError as error:
            if self._backend.lost_a_race(cause_of(error), patient=False):
                return False
            raise _Spoilt from error  # such as a lost connection: nothing more goes through it
        except BaseException as error:  # noqa: BLE001 - as above
            settled.append((item, None, error))
        return True

    def _at_once(self, connection: Connection, alike: list[_Item], settled: list[_Settled]) -> bool:
        """Ask several questions at once. Return False if that failed: then each is asked alone."""
        try:
            with connection.begin_nested():
                answers = alike[0].work(connection, [item.question for item in alike])
        except StatementError as error:
            if self._backend.lost_a_race(cause_of(error), patient=False):
                return False
            raise _Spoilt from error  # as above
        except Exception:  # noqa: BLE001 - whose fault it is shows when they are alone
            return False
        for item, answer in zip(alike, answers, strict=True):
            refused = isinstance(answer, ApiError)
            settled.append((item, None, answer) if refused else (item, answer, None))
        return True

    def _aside(self, item: _Item) -> None:
        """Do on its own what the common transaction did not do, or may not have done."""
        if item.doubt is not None and not item.repeatable:
            self._fail(item, item.doubt)
        elif not self._backend.many_writers:
            self._alone(item)
        else:
            if self._patient is None:
                self._patient = Threads(_PATIENT, "evrun-writer")
            try:
                self._patient.submit(self._in_time, item)
            except RuntimeError:  # it must not keep others waiting, as it would here
                self._fail(item, UnavailableError(_NO_THREAD))

    def _in_time(self, item: _Item) -> None:
        """Do one piece of work unless all threads were waiting for others until now."""
        if self._is_late(item):
            self._fail(item, UnavailableError("Too many writers wait for others. Try again."))
        else:
            self._alone(item)

    def _is_late(self, item: _Item) -> bool:
        return time.monotonic() - item.since > self._backend.busy_timeout

    def _alone(self, item: _Item) -> None:
        """Do one piece of work in a transaction of its own."""
        try:
            item.future.set_result(self._answer(item))
        except BaseException as error:  # noqa: BLE001 - as above
            self._fail(item, error)

    def _answer(self, item: _Item) -> Any:
        """Do one piece of work, again if it lost a race, or if nobody knows whether it is done."""
        for attempt in range(_ATTEMPTS):
            committing = False
            try:
                with self._backend.writing(patient=True) as connection:
                    answer = item.alone(connection)
                    committing = True
            except StatementError as error:
                cause = cause_of(error)
                if committing and not self._undone(error):
                    item.doubt = _doubt()
                pause = self._pause(item, cause, attempt)
                if pause is None or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(pause)
            else:
                return answer
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _pause(self, item: _Item, cause: BaseException, attempt: int) -> float | None:
        """Return the seconds after which failed work is done again, None if it is not."""
        if item.doubt is not None and not item.repeatable:
            return None
        if self._backend.lost_a_race(cause, patient=True):
            return random.uniform(0, 0.002) * attempt  # noqa: S311 - no secret
        # One writer must not keep all others waiting: there the caller asks again.
        if item.doubt is None or self._is_late(item) or not self._backend.many_writers:
            return None
        return _AWAY

    def _undone(self, error: BaseException) -> bool:
        """Return whether a failed commit has certainly changed nothing."""
        causes = []
        reason: BaseException | None = error
        while reason is not None:  # undoing it may have failed too, and hides why
            if isinstance(reason, StatementError):
                causes.append(cause_of(reason))
            reason = reason.__context__
        return all(self._backend.undone(cause) for cause in causes)

    def _fail(self, item: _Item, error: BaseException) -> None:
        """Say why work is not done, or that it may be done all the same.

        Done again, it may be refused for reasons that come before it is looked whether it is done,
        such as a key that was revoked since. Those of its own come after that.
        """
        reason = explained(self._backend, error)
        settled = isinstance(reason, InvalidValueError | ConflictError)
        item.future.set_exception(reason if settled or item.doubt is None else item.doubt)


def _doubt() -> OutcomeUnknownError:
    return OutcomeUnknownError(
        "The database failed while it committed: the change may be there. "
        "Send the request again under the same Idempotency-Key, or look."
    )


def _single(connection: Connection, works: Sequence[Callable[[Connection], T]]) -> list[T]:
    """Answer by what is asked itself."""
    (work,) = works
    return [work(connection)]


def _by_kind(batch: list[_Item]) -> Iterable[list[_Item]]:
    """Return what is asked at once, in the order of the first of each."""
    kinds: dict[Hashable, list[_Item]] = {}
    for item in batch:
        kinds.setdefault(item if item.kind is None else item.kind, []).append(item)
    return kinds.values()


def cause_of(error: BaseException) -> BaseException:
    """Return the driver's error within SQLAlchemy's."""
    return error.orig if isinstance(error, StatementError) and error.orig else error


def explained(backend: Backend, error: BaseException) -> BaseException:
    """Return the exception that tells why, which may be `error` itself."""
    cause = cause_of(error)
    reason = backend.explain(cause)
    before = cause.__context__ if isinstance(error, StatementError) else None
    # A database may undo a whole transaction by itself, as SQLite does on a full disk. Undoing to a
    # savepoint then fails too, and what tells why came before.
    while reason is None and before is not None:
        reason, before = backend.explain(before), before.__context__
    if reason is None:
        return error
    reason.__cause__ = error
    return reason
