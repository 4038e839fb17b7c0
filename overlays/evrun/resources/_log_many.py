"""Make the calls of `ManyLogs`, in threads beside the caller's, who takes the items.

The items are taken in the caller's thread: to that a generator may be bound.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from evrun._exchange import ANSWERS
from evrun.errors import InvalidRequestError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    import httpx

    from evrun.logged import LoggedItem
    from evrun.resources._call import Call
    from evrun.resources._many_logs import Gathered, ManyLogs, Outcome
    from evrun.results import EvaluationRun

    Attempted = tuple[int, Outcome | BaseException]
    Job = tuple[int, Call[Any], SimpleQueue[Attempted]]


def check(items: object, kinds: Any) -> None:
    """Raise `InvalidRequestError` for what is not many items."""
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, kinds):
        raise InvalidRequestError(
            f"items: got {type(items).__name__}, expected an iterable of mappings such as "
            '{"datapoint_id": …, "log": {…}}.',
            parameter="items",
        )


def perform(many: ManyLogs, items: Iterable[Any]) -> Iterator[LoggedItem]:
    """Log all items and yield what became of each, in order.

    What the iterable raises comes after what was taken before.
    """
    check(items, Iterable)
    sender = _Sender(many, many.first().run())
    source = enumerate(items)
    broken: BaseException | None = None
    try:
        while many.refusal is None:
            try:
                following = next(source, None)
                if following is None:
                    break
                sender.add(*many.take(*following))
            except BaseException as error:  # noqa: BLE001 - it is raised below
                broken = error
                break
            yield from sender.done()
        yield from sender.rest()
    except GeneratorExit:
        sender.leave()
        raise
    finally:
        sender.flush()
    if broken is not None:
        raise broken
    if many.refusal is not None:
        raise many.stopped() from many.refusal


class _Sender:
    """Sends what is handed over: what is gathered for a request, while one more is under way.

    Its thread is there only while there is something to send. So an iteration that nobody
    continues leaves none behind, and what it took is sent all the same.
    """

    def __init__(self, many: ManyLogs, run: EvaluationRun) -> None:
        self._many = many
        self._chunker = many.chunker(run)
        self._done: deque[LoggedItem] = deque()
        self._error: BaseException | None = None
        self._running = False
        self._changed = threading.Condition()  # of all above
        self._thread: threading.Thread | None = None
        self._caller = 0

    def add(self, gathered: Gathered, size: int) -> None:
        """Hand over one more. Waits while what is complete cannot be sent yet."""
        with self._changed:
            if self._error is not None:
                raise self._error
            self._chunker.add(gathered, size, time.monotonic())
            self._caller = threading.get_ident()
            if not self._running:
                self._start()
            if self._chunker.complete:
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._chunker.complete or self._error)

    def done(self) -> Iterator[LoggedItem]:
        """Yield what became known since."""
        while self._done:
            yield self._done.popleft()

    def rest(self) -> Iterator[LoggedItem]:
        """Send what is left and yield what became of it. Raises what a call raised."""
        self.flush()
        while self._running:
            with self._changed:
                self._changed.wait_for(lambda: self._done or not self._running)
            yield from self.done()
        if self._thread is not None:
            self._thread.join()
        yield from self.done()
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Let everything leave at once."""
        with self._changed:
            self._chunker.flush()
            self._changed.notify_all()

    def leave(self) -> None:
        """Send what is left, and wait for it: but not in a thread that only collects garbage."""
        self.flush()
        if self._thread is not None and self._caller == threading.get_ident():
            self._thread.join()

    def _start(self) -> None:
        target = copy_context().run  # the caller's tracing, and whatever else is in its context
        thread = threading.Thread(target=target, args=(self._work,), name="evrun-log_many")
        try:
            thread.start()
        except RuntimeError:
            # The interpreter starts no more threads when it ends (from Python 3.12).
            self._chunker.flush()
            self._work()
        else:
            self._thread, self._running = thread, True

    def _work(self) -> None:
        """Send until there is nothing left."""
        try:
            with _Workers(self._many.concurrency) as workers:
                while chunk := self._next():
                    done = _drive(self._many, chunk, workers)
                    with self._changed:
                        self._done += done
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
            with self._changed:
                self._error = error
                self._running = False
                self._changed.notify_all()

    def _next(self) -> list[Gathered]:
        """Wait for what must leave and return it; nothing if there is nothing left."""
        with self._changed:
            while (seconds := self._chunker.due(time.monotonic())) is not None:
                if not seconds:
                    chunk = self._chunker.take()
                    self._changed.notify_all()
                    return chunk
                self._changed.wait(seconds)
            self._running = False
            self._changed.notify_all()
            return []


class _Workers:
    """Threads that make calls at the same time, as many as are needed. The asking one is one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _each in self._threads:
            self._jobs.put(None)
        for each in self._threads:
            each.join()

    def outcomes(self, calls: Sequence[Call[Any]]) -> list[Outcome]:
        """Make the calls and return what came of each. Raises what is no outcome."""
        attempted: SimpleQueue[Attempted] = SimpleQueue()
        for place, call in enumerate(calls):
            self._jobs.put((place, call, attempted))
        self._grow(min(self._most, len(calls)) - 1)
        while job := self._waiting():
            _do(job)
        found = dict(attempted.get() for _ in calls)
        return [_of(found[place]) for place in range(len(calls))]

    def _waiting(self) -> Job | None:
        try:
            return self._jobs.get_nowait()
        except Empty:
            return None

    def _grow(self, most: int) -> None:
        while len(self._threads) < most:
            context = copy_context()  # one for each: a context cannot be entered twice
            thread = threading.Thread(target=context.run, args=(self._work,), name="evrun-log")
            try:
                thread.start()
            except RuntimeError:
                return  # as in `_start`: fewer do
            self._threads.append(thread)

    def _work(self) -> None:
        while job := self._jobs.get():
            _do(job)


def _do(job: Job) -> None:
    place, call, attempted = job
    try:
        attempted.put((place, _outcome(call)))
    except BaseException as error:  # noqa: BLE001 - it is raised by the thread that asked
        attempted.put((place, error))


def _of(attempted: Outcome | BaseException) -> Outcome:
    if isinstance(attempted, tuple | RequestError | InvalidRequestError):
        return attempted
    raise attempted


def _drive(many: ManyLogs, chunk: Sequence[Gathered], workers: _Workers) -> list[LoggedItem]:
    flow = many.log(chunk)
    try:
        calls = next(flow)
        while True:
            calls = flow.send(workers.outcomes(calls))
    except StopIteration as done:
        result: list[LoggedItem] = done.value
        return result


def _outcome(call: Call[Any]) -> Outcome:
    answers: list[httpx.Response] = []
    before = ANSWERS.set(answers)
    try:
        return call.run(), answers[-1]
    except (RequestError, InvalidRequestError) as error:
        return error
    finally:
        ANSWERS.reset(before)
