"""Make the calls of `ManyLogs`: one small driver for sync, one for async."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from evrun._exchange import ANSWERS
from evrun._threads import in_threads
from evrun.errors import InvalidRequestError, RequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    import httpx

    from evrun.logged import LoggedItem
    from evrun.resources._call import Call
    from evrun.resources._many_logs import Gathered, ManyLogs, Outcome


def _check(items: object, kinds: Any) -> None:
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, kinds):
        raise InvalidRequestError(
            f"items: got {type(items).__name__}, expected an iterable of mappings such as "
            '{"datapoint_id": …, "log": {…}}.',
            parameter="items",
        )


def perform(many: ManyLogs, items: Iterable[Any]) -> Iterator[LoggedItem]:
    """Log all items and yield what became of each, in order."""
    _check(items, Iterable)
    many.first().run()
    for chunk in _chunks(many, items):
        yield from _drive(many, chunk)


def _chunks(many: ManyLogs, items: Iterable[Any]) -> Iterator[list[Gathered]]:
    """Yield items in chunks. What the iterable raises comes after what was taken before."""
    chunker = many.chunker()
    broken: Exception | None = None
    try:
        for index, item in enumerate(items):
            yield from chunker.add(*many.take(index, item))
    except Exception as error:  # noqa: BLE001 - it is raised below
        broken = error
    yield chunker.rest()
    if broken is not None:
        raise broken


def _drive(many: ManyLogs, chunk: Sequence[Gathered]) -> list[LoggedItem]:
    flow = many.log(chunk)
    try:
        calls = next(flow)
        while True:
            calls = flow.send(in_threads(_outcome, calls, many.concurrency))
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


async def perform_async(
    many: ManyLogs, items: Iterable[Any] | AsyncIterable[Any]
) -> AsyncIterator[LoggedItem]:
    """Like `perform`, awaited."""
    _check(items, (Iterable, AsyncIterable))
    await many.first().run_async()
    async for chunk in _chunks_async(many, items):
        for each in await _drive_async(many, chunk):
            yield each


async def _chunks_async(
    many: ManyLogs, items: Iterable[Any] | AsyncIterable[Any]
) -> AsyncIterator[list[Gathered]]:
    if not isinstance(items, AsyncIterable):
        for chunk in _chunks(many, items):
            yield chunk
        return
    chunker = many.chunker()
    broken: Exception | None = None
    index = 0
    try:
        async for item in items:
            for chunk in chunker.add(*many.take(index, item)):
                yield chunk
            index += 1
    except Exception as error:  # noqa: BLE001 - it is raised below
        broken = error
    yield chunker.rest()
    if broken is not None:
        raise broken


async def _drive_async(many: ManyLogs, chunk: Sequence[Gathered]) -> list[LoggedItem]:
    import anyio  # noqa: PLC0415 - httpx brings it; a client that blocks does without

    flow = many.log(chunk)
    outcomes: dict[int, Outcome] = {}

    async def work(calls: Iterator[tuple[int, Call[Any]]]) -> None:
        for place, call in calls:  # shared by all workers: each takes the next
            outcomes[place] = await _outcome_async(call)

    try:
        calls = next(flow)
        while True:
            outcomes.clear()
            queue = iter(enumerate(calls))
            async with anyio.create_task_group() as group:
                for _ in range(min(many.concurrency, len(calls))):
                    group.start_soon(work, queue)
            calls = flow.send([outcomes[place] for place in range(len(calls))])
    except StopIteration as done:
        result: list[LoggedItem] = done.value
        return result


async def _outcome_async(call: Call[Any]) -> Outcome:
    answers: list[httpx.Response] = []
    before = ANSWERS.set(answers)
    try:
        return await call.run_async(), answers[-1]
    except (RequestError, InvalidRequestError) as error:
        return error
    finally:
        ANSWERS.reset(before)
