"""Group commit: what waits to be written is committed together, and answered after that.

A commit costs a wait for the disk. While one is under way others queue up; the next one takes them
all. Each piece of work runs in a SAVEPOINT of the common transaction, so that one that is refused
undoes only itself. What is alike is done at once: a statement costs more than a row that it writes.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen
from sqlalchemy.exc import StatementError

from evrun.server.refusals import OutcomeUnknown, Refusal, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from sqlalchemy import Connection

    from evrun.server.backends import Backend

T = TypeVar("T")
Q = TypeVar("Q")

BATCH = 128
"""Pieces of work in one commit, at most: who comes first waits for all of them."""

_ATTEMPTS = 20  # of work that loses races; each loss means that another write succeeded
_IDLE = 5.0  # seconds after which the thread ends
_PATIENT = 8  # threads for what waits for other writers


@frozen(eq=False)
class _Item:
    work: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    """Returns the answer to each of the questions, or why it is refused."""
    question: Any
    kind: Hashable | None = None
    """What has an equal one is asked at once; None is alone."""
    future: Future[Any] = field(factory=Future)
    since: float = field(factory=time.monotonic)

    def alone(self, connection: Connection) -> Any:
        """Return the answer to this question. Raises `Refusal`."""
        (answer,) = self.work(connection, [self.question])
        if isinstance(answer, Refusal):
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
        self._patient: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Return the future of `work`'s answer, which is there after its commit is durable."""
        return self._queue(_Item(_single, work))

    def ask(
        self,
        kind: Hashable,
        work: Callable[[Connection, Sequence[Q]], Sequence[T | Refusal]],
        question: Q,
    ) -> Future[T]:
        """Like `submit`, for `work` that can answer all questions of its kind that wait.

        A question that it refuses must have changed nothing.
        """
        return self._queue(_Item(work, question, kind))

    def _queue(self, item: _Item) -> Future[Any]:
        with self._changed:
            self._waiting.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="evrun-writer", daemon=True)
                self._thread.start()
            self._changed.notify()
        return item.future

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
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._commit([item for item in batch if item.future.set_running_or_notify_cancel()])

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
                item.future.set_exception(explained(self._backend, error))
            return
        for item, answer, refusal in settled:
            if refusal is None:
                item.future.set_result(answer)
            else:
                item.future.set_exception(refusal)
        for item in aside:
            if self._backend.many_writers:
                self._patiently(item)
            else:
                self._alone(item)

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
                    for item in alike:
                        try:
                            with connection.begin_nested():
                                settled.append((item, item.alone(connection), None))
                        except StatementError as error:
                            cause = cause_of(error)
                            if isinstance(cause, Refusal):
                                settled.append((item, None, cause))
                            elif self._backend.lost_a_race(cause, patient=False):
                                aside.append(item)
                            else:
                                raise _Spoilt from error
                        except BaseException as error:  # noqa: BLE001 - as above
                            settled.append((item, None, error))
                committing = True
        except StatementError as error:
            if committing:
                raise self._uncertain(error) from error
            raise
        return settled, aside

    def _at_once(self, connection: Connection, alike: list[_Item], settled: list[_Settled]) -> bool:
        """Ask several questions at once. Return False if that failed: then each is asked alone."""
        try:
            with connection.begin_nested():
                answers = alike[0].work(connection, [item.question for item in alike])
        except StatementError as error:
            cause = cause_of(error)
            if isinstance(cause, Refusal) or self._backend.lost_a_race(cause, patient=False):
                return False
            raise _Spoilt from error  # such as a lost connection: nothing more goes through it
        except Exception:  # noqa: BLE001 - whose fault it is shows when they are alone
            return False
        for item, answer in zip(alike, answers, strict=True):
            refused = isinstance(answer, Refusal)
            settled.append((item, None, answer) if refused else (item, answer, None))
        return True

    def _patiently(self, item: _Item) -> None:
        if self._patient is None:
            self._patient = ThreadPoolExecutor(_PATIENT, thread_name_prefix="evrun-writer")
        self._patient.submit(self._in_time, item)

    def _in_time(self, item: _Item) -> None:
        """Do one piece of work unless all threads were waiting for others until now."""
        if time.monotonic() - item.since > self._backend.busy_timeout:
            item.future.set_exception(Unavailable("Too many writers wait for others. Try again."))
        else:
            self._alone(item)

    def _alone(self, item: _Item) -> None:
        """Do one piece of work in a transaction of its own, again if it loses a race."""
        try:
            item.future.set_result(self._answer(item))
        except BaseException as error:  # noqa: BLE001 - as above
            item.future.set_exception(explained(self._backend, error))

    def _answer(self, item: _Item) -> Any:
        for attempt in range(_ATTEMPTS):
            committing = False
            try:
                with self._backend.writing(patient=True) as connection:
                    answer = item.alone(connection)
                    committing = True
            except StatementError as error:
                if committing:
                    raise self._uncertain(error) from error
                lost = self._backend.lost_a_race(cause_of(error), patient=True)
                if attempt == _ATTEMPTS - 1 or not lost:
                    raise
                time.sleep(random.uniform(0, 0.002) * attempt)  # noqa: S311 - no secret
            else:
                return answer
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _uncertain(self, error: Exception) -> Exception:
        """Return what a failed commit means."""
        if self._backend.commits_or_not:
            return error
        return OutcomeUnknown(
            "The connection to the database broke while it committed: the change may be there. "
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
    # A column type may refuse a value; SQLAlchemy wraps what it raises.
    if isinstance(cause, Refusal):
        return cause
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
