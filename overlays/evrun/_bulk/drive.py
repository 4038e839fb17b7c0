"""Make the calls of `ManyLogs`, in threads of its own.

The items are taken in the caller's thread, because a generator may be bound to it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from evrun._bulk.threads import in_threads
from evrun._transport.call_state import call_state
from evrun.errors import InvalidRequestError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evrun._bulk.plan import CallResult, Gathered, ManyLogs
    from evrun._calls.call import Call
    from evrun.logged import LoggedItem
    from evrun.results import EvaluationRun


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
        while not many.ended:
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
    many.end(broken)


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
            while chunk := self._next():
                done = _drive(self._many, chunk)
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


def _drive(many: ManyLogs, chunk: Sequence[Gathered]) -> list[LoggedItem]:
    flow = many.log(chunk)
    try:
        calls = next(flow)
        while True:
            calls = flow.send(in_threads(partial(_result_of, many), calls, many.concurrency))
    except StopIteration as done:
        result: list[LoggedItem] = done.value
        return result


def _result_of(many: ManyLogs, call: Call[Any]) -> CallResult:
    if many.broken is not None:  # by another of the calls that are made at the same time
        return many.not_sent()
    with call_state() as state:
        try:
            result = call.run()
        except (RequestError, InvalidRequestError) as error:
            return error
        except BaseException as error:  # noqa: BLE001 - it is raised after what became of each
            return many.broken_by(error)
    assert state.received is not None  # noqa: S101 - a result is made of an answer
    return result, state.received
