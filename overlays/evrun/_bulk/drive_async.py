"""Make the calls of `ManyLogs`, in a task beside the caller's, who takes the items.

On asyncio and trio. The task belongs to no task group: an asynchronous generator must not yield
within one, because the caller may iterate in another task by then, or never come back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from evrun._bulk.drive import check
from evrun._transport.call_state import call_state
from evrun.errors import InvalidRequestError, RequestError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from evrun._bulk.plan import CallResult, Gathered, ManyLogs
    from evrun._calls.call import Call
    from evrun.logged import LoggedItem
    from evrun.results import EvaluationRun

FAREWELL: Final = 5.0
"""Seconds in which what was taken may still be sent when the caller is cancelled or leaves."""

_END: Final = object()


async def perform_async(
    many: ManyLogs, items: Iterable[Any] | AsyncIterable[Any]
) -> AsyncIterator[LoggedItem]:
    """Log all items and yield what became of each, in order.

    What the iterable raises comes after what was taken before.
    """
    check(items, (Iterable, AsyncIterable))
    sender = _Sender(many, await many.first().run_async())
    source = _Source(items)
    broken: Exception | None = None
    index = 0
    try:
        while not many.ended:
            try:
                item = await source.next()
                if item is _END:
                    break
                await sender.add(*many.take(index, item))
                await sender.let_go(source.blocked)
            except Exception as error:  # noqa: BLE001 - it is raised below
                broken = error
                break
            index += 1
            for each in sender.done():
                yield each
        while await sender.rest():
            for each in sender.done():
                yield each
    except BaseException:
        await sender.leave()
        raise
    many.end(broken)


class _Source:
    """The items, whether they are awaited or not."""

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any]) -> None:
        self.blocked: float | None = None
        """Seconds for which the last item kept the event loop from all else; None if awaited."""
        self._awaited = aiter(items) if isinstance(items, AsyncIterable) else None
        self._plain = iter(()) if isinstance(items, AsyncIterable) else iter(items)

    async def next(self) -> Any:
        """Return the next item, or `_END`."""
        if self._awaited is not None:
            return await anext(self._awaited, _END)
        began = time.monotonic()
        item = next(self._plain, _END)
        self.blocked = time.monotonic() - began
        return item


class _Sender:
    """Like `drive._Sender`, with a task instead of a thread."""

    def __init__(self, many: ManyLogs, run: EvaluationRun) -> None:
        import anyio  # noqa: PLC0415 - httpx brings it; a client that blocks does without

        self._many = many
        self._chunker = many.chunker(run)
        self._done: deque[LoggedItem] = deque()
        self._error: BaseException | None = None
        self._scope: anyio.CancelScope | None = None
        """Of the task; None if there is none."""
        self._sending = False
        self._event = anyio.Event
        self._changed = anyio.Event()

    async def add(self, gathered: Gathered, size: int) -> None:
        """Hand over one more. Waits until what is complete has been sent.

        A thread would send it beside the next items. But a caller who leaves an `async for` is not
        kept waiting, and what was taken by then may be lost: that should be little.
        """
        if self._error is not None:
            raise self._error
        self._chunker.add(gathered, size, time.monotonic())
        if self._scope is None:
            self._start()
        if self._chunker.complete:
            self._change()
            while (self._chunker.complete or self._sending) and self._scope is not None:
                await self._changed.wait()

    async def let_go(self, seconds: float | None) -> None:
        """Send what would be too old after an item that blocks for so many seconds again."""
        if seconds is None:
            return
        due = self._chunker.due(time.monotonic())
        if due is None or due <= seconds:
            await self._send_rest()

    def done(self) -> Iterator[LoggedItem]:
        """Yield what became known since."""
        while self._done:
            yield self._done.popleft()

    async def rest(self) -> bool:
        """Send what is left; return whether more is known. Raises what a call raised."""
        self.flush()
        while not self._done and self._scope is not None:
            await self._changed.wait()
        if not self._done and self._error is not None:
            raise self._error
        return bool(self._done)

    async def leave(self) -> None:
        """Send what is left, within a few seconds: also if the caller has been cancelled."""
        import anyio  # noqa: PLC0415 - as above

        with anyio.move_on_after(FAREWELL, shield=True):
            await self._send_rest()
        if self._scope is not None:
            self._scope.cancel()

    def flush(self) -> None:
        """Let everything leave at once."""
        self._chunker.flush()
        self._change()

    async def _send_rest(self) -> None:
        self.flush()
        while self._scope is not None:
            await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = self._event()

    def _start(self) -> None:
        import anyio  # noqa: PLC0415 - as above

        self._scope = anyio.CancelScope()
        _spawn(self._work)

    async def _work(self) -> None:
        """Send until there is nothing left."""
        assert self._scope is not None  # noqa: S101 - `_start` made it
        try:
            with self._scope:
                while chunk := await self._next():
                    self._sending = True
                    self._done += await _drive(self._many, chunk)
                    self._sending = False
                    self._change()
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise  # the event loop ends
        finally:
            self._scope = None
            self._change()

    async def _next(self) -> list[Gathered]:
        """Wait for what must leave and return it; nothing if there is nothing left."""
        import anyio  # noqa: PLC0415 - as above

        while (seconds := self._chunker.due(time.monotonic())) is not None:
            if not seconds:
                chunk = self._chunker.take()
                self._change()
                return chunk
            with anyio.move_on_after(seconds):
                await self._changed.wait()
        return []


_TASKS: set[asyncio.Task[None]] = set()
"""Event loops keep no reference to their tasks."""


def _spawn(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a task that belongs to nobody, in the caller's context."""
    import asyncio  # noqa: PLC0415 - a client that blocks does without

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio  # noqa: PLC0415 - it runs

        trio.lowlevel.spawn_system_task(work, context=copy_context())
        return

    task = loop.create_task(work())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


async def _drive(many: ManyLogs, chunk: Sequence[Gathered]) -> list[LoggedItem]:
    flow = many.log(chunk)
    try:
        calls = next(flow)
        while True:
            calls = flow.send(await _results_of(many, calls))
    except StopIteration as done:
        result: list[LoggedItem] = done.value
        return result


async def _results_of(many: ManyLogs, calls: Sequence[Call[Any]]) -> list[CallResult]:
    import anyio  # noqa: PLC0415 - as above

    results: dict[int, CallResult] = {}
    queue = iter(enumerate(calls))

    async def work() -> None:
        for place, call in queue:  # shared by all: each takes the next
            results[place] = await _result_of(many, call)

    async with anyio.create_task_group() as group:
        for _ in range(min(many.concurrency, len(calls))):
            group.start_soon(work)
    return [results[place] for place in range(len(calls))]


async def _result_of(many: ManyLogs, call: Call[Any]) -> CallResult:
    if many.broken is not None:  # by another of the calls that are made at the same time
        return many.not_sent()
    with call_state() as state:
        try:
            result = await call.run_async()
        except (RequestError, InvalidRequestError) as error:
            return error
        except Exception as error:  # noqa: BLE001 - it is raised after what became of each
            return many.broken_by(error)
    assert state.received is not None  # noqa: S101 - a result is made of an answer
    return result, state.received
