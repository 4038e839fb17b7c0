"""Items that take their time: what is sent while they are made, and what is left behind."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextlib import aclosing, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from _support.fake_api import BASE_URL, KEY
from _support.fake_many_logs import Server, items
from evrun import AsyncEvrun, Evrun
from evrun._bulk import drive_async, plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from evrun import LoggedItem, LogItem

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "trio"])
BOTH = pytest.mark.parametrize("batch", [1000, 0])


def sync_client(server: Callable[[httpx.Request], httpx.Response], **settings: Any) -> Evrun:
    transport = httpx.MockTransport(server)
    return Evrun(api_key=KEY, base_url=BASE_URL, transport=transport, **settings)


def async_client(server: Any, **settings: Any) -> AsyncEvrun:
    transport = httpx.MockTransport(server)
    return AsyncEvrun(api_key=KEY, base_url=BASE_URL, transport=transport, **settings)


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch be old after a moment."""
    monkeypatch.setattr(plan, "MOST_SECONDS", 0.02)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it does."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


async def eventually_awaited(holds: Callable[[], bool]) -> None:
    """Like `eventually`, awaited."""
    with anyio.fail_after(10):
        while not holds():  # noqa: ASYNC110 - the server is no task
            await anyio.sleep(0.001)


def threads() -> list[str]:
    """Return the names of ours that run."""
    return [each.name for each in threading.enumerate() if each.name.startswith("evrun")]


# Number and age.


@BOTH
@pytest.mark.usefixtures("_soon")
def test_what_was_taken_is_sent_while_the_next_is_made(batch: int) -> None:
    """In the caller's thread a generator blocks; the items before the one it makes are stored."""
    server = Server(batch)
    made_in = []

    def source() -> Iterator[Any]:
        for n, item in enumerate(items(12)):
            made_in.append(threading.current_thread())
            if n % 4 == 0:
                eventually(lambda: len(server.stored) == n)  # noqa: B023 - called at once
            yield item

    with sync_client(server) as client:
        logged = client.run("evrun_1").log_many(source())
    assert [each.index for each in logged] == list(range(12))
    assert set(made_in) == {threading.current_thread()}
    assert threads() == []


@LOOPS
@BOTH
@pytest.mark.usefixtures("_soon")
def test_what_was_taken_is_sent_while_the_next_is_awaited(loop: str, batch: int) -> None:
    """As above, in a task."""
    server = Server(batch)

    async def source() -> AsyncIterator[Any]:
        for n, item in enumerate(items(12)):
            if n % 4 == 0:
                await eventually_awaited(lambda: len(server.stored) == n)  # noqa: B023
            yield item

    async def main() -> None:
        async with async_client(server) as client:
            assert len(await client.run("evrun_1").log_many(source())) == 12

    anyio.run(main, backend=loop)


@LOOPS
@BOTH
@pytest.mark.usefixtures("_soon")
def test_what_blocks_an_event_loop_is_sent_in_between(loop: str, batch: int) -> None:
    """Nothing is sent while it is blocked, so it is sent before it will be blocked for long."""
    server = Server(batch)

    def source() -> Iterator[Any]:
        for n, item in enumerate(items(4)):
            assert len(server.stored) == n
            time.sleep(0.03)
            yield item

    async def main() -> None:
        async with async_client(server) as client:
            assert len(await client.run("evrun_1").log_many(source())) == 4

    anyio.run(main, backend=loop)


def test_a_fast_source_goes_in_full_batches() -> None:
    """Nobody waits for more where there is more."""
    server = Server()
    with sync_client(server) as client:
        client.run("evrun_1").log_many(iter(items(50)), batch_size=10)
    assert len(server.posts) == 5
    assert server.outputs == [str(n) for n in range(50)]


def test_a_stream_is_logged_as_it_comes() -> None:
    """Two batches are in memory at most, however slow the server is."""
    server, ahead = Server(), [0]

    def source() -> Iterator[Any]:
        for n, each in enumerate(items(100)):
            ahead.append(n + 1 - len(server.stored))
            yield each

    def slow(_: httpx.Request) -> None:
        time.sleep(0.005)

    server.before = slow
    with sync_client(server) as client:
        stream = client.run("evrun_1").iter_log_many(source(), batch_size=10)
        assert ahead == [0]
        assert [each.index for each in stream] == list(range(100))
    assert 10 < max(ahead) <= 20


@LOOPS
def test_a_stream_is_awaited_as_it_comes(loop: str) -> None:
    """One batch is in memory; what its source raises comes after what it gave."""
    server, ahead = Server(), [0]
    seen: list[LoggedItem] = []

    async def source() -> AsyncIterator[Any]:
        for n, each in enumerate(items(50)):
            ahead.append(n + 1 - len(server.stored))
            await anyio.lowlevel.checkpoint()
            yield each
        raise RuntimeError("gone")

    async def slow(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.005)
        return server(request)

    async def main() -> None:
        async with async_client(slow) as client:
            async for each in client.run("evrun_1").iter_log_many(source(), batch_size=7):
                seen.append(each)  # noqa: PERF401 - it is raised in between

    with pytest.raises(RuntimeError, match="gone"):
        anyio.run(main, backend=loop)
    assert [each.index for each in seen] == list(range(50))
    assert max(ahead) == 7


@LOOPS
def test_a_source_may_have_a_task_group_of_its_own(loop: str) -> None:
    """Nothing of ours is entered in its task, which it would have to leave first."""
    server = Server(7)

    async def source() -> AsyncIterator[Any]:
        async with anyio.create_task_group() as group:
            sender, receiver = anyio.create_memory_object_stream[Any](1)

            async def make() -> None:
                async with sender:
                    for each in items(30):
                        await sender.send(each)

            group.start_soon(make)
            async with receiver:
                async for each in receiver:
                    yield each

    async def main() -> None:
        async with async_client(server) as client:
            assert len(await client.run("evrun_1").log_many(source())) == 30

    anyio.run(main, backend=loop)


# Ends before the end.


@BOTH
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_what_ends_a_source_comes_after_what_it_gave(
    batch: int, raised: type[BaseException]
) -> None:
    """Ctrl-C too; and it says how far it came."""
    server = Server(batch)

    def source() -> Iterator[Any]:
        yield from items(3)
        yield {"datapoint_id": "bad", "log": {}}
        raise raised

    with sync_client(server) as client, pytest.raises(raised) as caught:
        client.run("evrun_1").log_many(source())
    assert sorted(server.outputs) == list("012")
    assert caught.value.__notes__ == [
        "log_many: of the items taken before, 3 are stored and 1 failed. "
        "iter_log_many yields what became of each."
    ]
    assert threads() == []


@BOTH
def test_leaving_early_leaves_nothing_behind(batch: int) -> None:
    """What was taken is sent before it is left, and no thread stays."""
    server = Server(batch)
    taken = []

    def source() -> Iterator[Any]:
        for n in itertools.count():
            taken.append(str(n))
            yield {"datapoint_id": f"row-{n}", "log": {"output": str(n)}}

    with sync_client(server) as client:
        for each in client.run("evrun_1").iter_log_many(source(), batch_size=10, concurrency=2):
            assert each.log
            break
    assert sorted(server.outputs, key=int) == taken
    assert threads() == []


def test_garbage_waits_for_nobody() -> None:
    """An iteration may be collected in any thread, also in one that its own calls wait for."""
    server, blocked = Server(), threading.Event()

    def block(_: httpx.Request) -> None:
        blocked.wait(10)

    with sync_client(server) as client:
        stream = client.run("evrun_1").iter_log_many(iter(items(30)), batch_size=10)
        next(stream)
        server.before = block
        collector = threading.Thread(target=stream.close)  # type: ignore[attr-defined]
        collector.start()
        collector.join(10)
        assert not collector.is_alive()
        blocked.set()
        eventually(lambda: threads() == [])
    assert server.outputs == [str(n) for n in range(len(server.outputs))]


@LOOPS
def test_leaving_early_leaves_no_task_behind(loop: str) -> None:
    """As above, within `aclosing`."""
    server, taken = Server(), []

    async def source() -> AsyncIterator[Any]:
        for n in itertools.count():
            taken.append(str(n))
            yield {"datapoint_id": f"row-{n}", "log": {"output": str(n)}}

    async def main() -> None:
        async with async_client(server) as client:
            made = source()
            stream = client.run("evrun_1").iter_log_many(made, batch_size=10)
            async with aclosing(made), aclosing(stream):  # type: ignore[type-var]
                async for each in stream:
                    assert each.log
                    break
            assert server.outputs == taken

    anyio.run(main, backend=loop)
    assert not drive_async._TASKS


def test_leaving_early_without_waiting_loses_little() -> None:
    """What was sent by then is answered: at most what is younger than a second is not."""
    server, taken = Server(), []

    def source() -> Iterator[Any]:
        for n in itertools.count():
            taken.append(str(n))
            yield {"datapoint_id": f"row-{n}", "log": {"output": str(n)}}

    async def main() -> None:
        async with async_client(server) as client:
            async for _ in client.run("evrun_1").iter_log_many(source(), batch_size=10):
                break
            assert server.outputs == taken

    anyio.run(main)


@LOOPS
def test_a_cancelled_call_sends_what_it_took(loop: str) -> None:
    """Ctrl-C is that to asyncio: what has been made is stored, and it ends."""
    server = Server()

    async def source(scope: anyio.CancelScope) -> AsyncIterator[Any]:
        for each in items(3):
            yield each
        scope.cancel()
        await anyio.sleep_forever()

    async def main() -> None:
        async with async_client(server) as client:
            with anyio.CancelScope() as scope:
                await client.run("evrun_1").log_many(source(scope))
            assert scope.cancelled_caught
            assert server.outputs == list("012")

    anyio.run(main, backend=loop)


@LOOPS
def test_a_cancelled_call_ends_soon_whatever_the_server_does(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a few seconds only, and leaves no task behind."""
    monkeypatch.setattr(drive_async, "FAREWELL", 0.01)
    server = Server()
    ended = []

    async def silent(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            try:
                await anyio.sleep_forever()
            finally:
                ended.append(True)
        return server(request)

    async def main() -> None:
        async with async_client(silent) as client:
            with anyio.move_on_after(0.05) as scope:
                await client.run("evrun_1").log_many(items(3))
            assert scope.cancelled_caught
            await eventually_awaited(lambda: bool(ended))

    anyio.run(main, backend=loop)
    assert not drive_async._TASKS


@BOTH
def test_a_thread_that_cannot_be_started_is_done_without(
    monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Python 3.12 starts none when it ends: the caller's thread sends, one after the other."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    server = Server(batch)
    with sync_client(server) as client:
        logged = client.run("evrun_1").log_many(items(5))
    assert [each.index for each in logged] == list(range(5))
    assert server.outputs == list("01234")


def test_a_task_that_somebody_else_cancels_ends_the_call() -> None:
    """As asyncio does with all tasks at the end: nobody waits for what will not come."""

    async def silent(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            for task in drive_async._TASKS:
                task.cancel()
            await anyio.sleep_forever()
        return Server()(request)

    async def main() -> None:
        async with async_client(silent) as client:
            with pytest.raises(asyncio.CancelledError):
                await client.run("evrun_1").log_many(items(5))

    anyio.run(main)
    assert not drive_async._TASKS


# What the caller's program has around its calls.

WHO: ContextVar[str] = ContextVar("who", default="nobody")


@BOTH
def test_context_variables_are_seen_in_every_thread(batch: int) -> None:
    """In middleware, whatever thread it runs in; and no more run at a time than asked for."""
    seen, at_a_time = set(), [0]
    running: set[int] = set()

    def middleware(request: httpx.Request, send: Callable[[httpx.Request], Any]) -> Any:
        seen.add(WHO.get())
        running.add(threading.get_ident())
        at_a_time.append(len(running))
        if request.method == "POST":
            time.sleep(0.002)
        running.discard(threading.get_ident())
        return send(request)

    many: list[LogItem] = [{"datapoint_id": f"row-{n % 20}", "log": {}} for n in range(40)]
    token = WHO.set("caller")
    try:
        with sync_client(Server(batch), middleware=[middleware]) as client:
            client.run("evrun_1").log_many(many, concurrency=4)
    finally:
        WHO.reset(token)
    assert seen == {"caller"}
    assert max(at_a_time) == 1 if batch else 1 < max(at_a_time) <= 4


@LOOPS
@BOTH
def test_context_variables_are_seen_in_every_task(loop: str, batch: int) -> None:
    """As above."""
    seen = set()

    async def middleware(request: httpx.Request, send: Callable[[httpx.Request], Any]) -> Any:
        seen.add(WHO.get())
        return await send(request)

    async def main() -> None:
        WHO.set("caller")
        async with async_client(Server(batch), middleware=[middleware]) as client:
            await client.run("evrun_1").log_many(items(40))

    anyio.run(main, backend=loop)
    assert seen == {"caller"}


@BOTH
def test_what_middleware_raises_reaches_the_caller_as_it_is(batch: int) -> None:
    """From whatever thread or task."""

    def middleware(request: httpx.Request, send: Callable[[httpx.Request], Any]) -> Any:
        if request.method == "POST":
            raise LookupError("no budget")
        return send(request)

    async def awaited(request: httpx.Request, send: Callable[[httpx.Request], Any]) -> Any:
        if request.method == "POST":
            raise LookupError("no budget")
        return await send(request)

    async def main() -> None:
        async with async_client(Server(batch), middleware=[awaited]) as client:
            await client.run("evrun_1").log_many(items(2500))

    with sync_client(Server(batch), middleware=[middleware]) as client:
        with pytest.raises(LookupError, match="^no budget"):
            client.run("evrun_1").log_many(items(40))
        with suppress(LookupError):
            client.run("evrun_1").log_many(items(2500))
    with pytest.raises(LookupError, match="^no budget"):
        anyio.run(main)
    assert threads() == []
    assert not drive_async._TASKS
