"""Clients in several processes, threads and event loops: settings travel, connections do not."""

from __future__ import annotations

import asyncio
import copy
import itertools
import multiprocessing
import os
import pickle
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from _support import SUPPORT
from _support.fake_api import BASE_URL, KEY, FakeApi
from _support.loopback_server import PAGE, Answer, Loopback, Seen, running
from _support.worker_calls import log, total, total_async
from evrun import (
    AsyncEvrun,
    ConfigurationError,
    ConnectError,
    Evrun,
    RateLimitedError,
    UnprocessableEntityError,
)
from evrun._transport import http_clients
from evrun.testing import Server, seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evrun._transport.connection_settings import ConnectionSettings

LEAVING = SUPPORT / "log_at_exit.py"

pytestmark = pytest.mark.filterwarnings(
    # Python 3.12 warns of every fork beside threads; that it works here is what is tested.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with running(Loopback()) as server:
        yield server


def pickled(client: Any) -> Any:
    return pickle.loads(pickle.dumps(client))  # noqa: S301 - our own bytes


COPIES: list[Callable[[Any], Any]] = [pickled, copy.copy, copy.deepcopy]


# Pickling and copying.


@pytest.mark.parametrize("make", COPIES)
@pytest.mark.parametrize("cls", [Evrun, AsyncEvrun])
def test_a_copy_has_every_setting(
    cls: type[Evrun | AsyncEvrun], make: Callable[[Any], Any]
) -> None:
    """A pickled or copied client is set up like the first, and has a pool of its own."""
    client = cls(
        api_key=KEY,
        base_url=BASE_URL,
        timeout=httpx.Timeout(3, pool=1),
        deadline=9,
        max_retries=1,
        on_unknown="raise",
        concurrency=7,
        proxy="http://me:secret@127.0.0.1:1",
        verify="ca.pem",
        cert=("a.crt", "a.key"),
        trust_env=False,
    ).with_options(extra_headers={"X-Team": "a"}, extra_query={"q": 1}, extra_body={"n": None})
    other = make(client)
    assert type(other) is cls
    assert other._config == client._config
    assert repr(other._config.api_key) == "'evk_…'"
    assert other._pool.settings == client._pool.settings
    assert other._pool is not client._pool


@pytest.mark.parametrize("make", COPIES)
def test_a_copy_of_a_view_closes_its_own_connections(
    server: Loopback, make: Callable[[Any], Any]
) -> None:
    """A copy belongs to whoever made it: closing it closes what it opened, and no more."""
    with Evrun(api_key=KEY, base_url=server.base_url) as client:
        with make(client.with_options(timeout=5)) as other:
            assert total(other) == total(client) == 0
        with pytest.raises(ConfigurationError, match="This client was closed"):
            total(other)
        assert total(client) == 0
    assert server.connections == 2


@pytest.mark.parametrize("make", COPIES)
def test_an_embedded_client_is_copied_with_its_file(
    tmp_path: Path, make: Callable[[Any], Any]
) -> None:
    """A copy of `Evrun.local` runs a server of its own over the same file."""
    with Evrun.local(tmp_path / "evals.db") as client:
        project = client.projects.create(name="shared")
        with make(client.with_options(deadline=20)) as other:
            assert other.projects.get(project.id).name == "shared"
            assert other._config.options.deadline == 20
        assert client.projects.get(project.id).name == "shared"


def nothing(request: httpx.Request, send: Callable[[httpx.Request], Any]) -> Any:
    return send(request)


@pytest.mark.parametrize("make", COPIES)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("transport", httpx.MockTransport(FakeApi())),
        ("verify", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
        ("middleware", [nothing]),
    ],
)
def test_what_cannot_travel_says_so(setting: str, value: Any, make: Callable[[Any], Any]) -> None:
    """What belongs to a process is named, with the way out."""
    given: dict[str, Any] = {setting: value}
    for cls in (Evrun, AsyncEvrun):
        with pytest.raises(ConfigurationError) as caught:
            make(cls(api_key=KEY, base_url=BASE_URL, **given))
        assert str(caught.value) == (
            f"A client with {setting}=… cannot be pickled or copied: connections, contexts and "
            "functions stay in their process. Make the client where it is used."
        )


def test_an_http_client_and_a_proxys_context_stay_too() -> None:
    """The same for an `http_client`, and for TLS settings inside a proxy."""
    with pytest.raises(ConfigurationError, match="A client with http_client=… cannot be pickled"):
        pickle.dumps(Evrun(api_key=KEY, base_url=BASE_URL, http_client=FakeApi().http_client()))
    proxy = httpx.Proxy("https://127.0.0.1:1", ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    with pytest.raises(ConfigurationError, match="whose proxy has an ssl_context cannot"):
        pickle.dumps(Evrun(api_key=KEY, base_url=BASE_URL, proxy=proxy))
    assert pickled(Evrun(api_key=KEY, base_url=BASE_URL, proxy=httpx.Proxy("http://127.0.0.1:1")))


# Workers.


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_clients_cross_to_workers(server: Loopback, method: str, tmp_path: Path) -> None:
    """Clients, views and embedded clients are arguments like any other."""
    with (
        Evrun(api_key=KEY, base_url=server.base_url) as client,
        Evrun.local(tmp_path / "evals.db") as local,
        ProcessPoolExecutor(2, multiprocessing.get_context(method)) as workers,
    ):
        local.projects.create(name="one")
        awaited = AsyncEvrun(api_key=KEY, base_url=server.base_url)
        totals = [
            workers.submit(total, client),
            workers.submit(total, client.with_options(extra_headers={"X-View": "yes"})),
            workers.submit(total, local),
            workers.submit(total_async, awaited),
            workers.submit(total_async, AsyncEvrun.local(tmp_path / "evals.db")),
        ]
        assert [each.result(60) for each in totals] == [0, 0, 1, 0, 1]
    assert [seen.headers.get("x-view") for seen in server.seen].count("yes") == 1


def complaint(seen: Seen) -> Answer:
    if "x-busy" in seen.headers:
        return Answer(status=429, headers=(("retry-after-ms", "1"),), body={"detail": "Later"})
    return Answer(
        status=422,
        body={"detail": [{"loc": ["body", "log"], "msg": "too short", "type": "length"}]},
        headers=(("X-Request-ID", "r-1"),),
    )


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_errors_arrive_whole(method: str) -> None:
    """A worker's error has its attempts, its request and what the server said, in the parent."""
    with (
        running(Loopback(complaint)) as server,
        Evrun(api_key=KEY, base_url=server.base_url) as client,
        ProcessPoolExecutor(1, multiprocessing.get_context(method)) as workers,
    ):
        with pytest.raises(UnprocessableEntityError) as refused:
            workers.submit(log, client).result(60)
        busy = client.with_options(max_retries=2, extra_headers={"X-Busy": "yes"})
        with pytest.raises(RateLimitedError) as limited:
            workers.submit(log, busy).result(60)
    error, later = refused.value, limited.value
    (field,) = error.fields
    assert (field.loc, field.msg) == (("body", "log"), "too short")
    assert (error.status, error.request_id, error.attempts) == (422, "r-1", 1)
    assert error.request.body == '{"datapoint_id":"1","log":{}}'
    assert error.idempotency_key == server.seen[0].headers["idempotency-key"]
    assert (later.status, later.attempts, later.retry_after) == (429, 3, 0.001)
    assert str(later).endswith("2 retries used up.")
    assert KEY not in repr(vars(error))


# Forks.


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child and return its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_fork_gets_connections_of_its_own(server: Loopback) -> None:
    """Parent and child go on with one client, each over its own connection, kept alive."""
    with Evrun(api_key=KEY, base_url=server.base_url) as client:
        view = client.with_options(extra_headers={"X-Child": "yes"})
        assert total(client) == 0

        def work() -> None:
            assert total(view) == total(view) == 0
            client.close()

        assert in_child(work) == 0
        assert total(client) == 0
    parents = {seen.connection for seen in server.seen if "x-child" not in seen.headers}
    childs = {seen.connection for seen in server.seen if "x-child" in seen.headers}
    assert (len(parents), len(childs), len(parents & childs)) == (1, 1, 0)
    assert len(server.seen) == 4


def test_a_fork_while_another_thread_connects_does_not_hang(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that another thread holds at the fork is not held in the child."""
    building, go_on = threading.Event(), threading.Event()
    build = http_clients.new_client
    parent = os.getpid()

    def slowly(settings: ConnectionSettings) -> httpx.Client:
        if os.getpid() == parent:
            building.set()
            assert go_on.wait(30)
        return build(settings)

    monkeypatch.setattr(http_clients, "new_client", slowly)
    with Evrun(api_key=KEY, base_url=server.base_url) as client, ThreadPoolExecutor(1) as threads:
        first = threads.submit(total, client)
        assert building.wait(30)
        assert in_child(lambda: assert_no_total(client)) == 0
        go_on.set()
        assert first.result(30) == 0
    assert server.connections == 2


def assert_no_total(client: Evrun) -> None:
    assert total(client) == 0


def test_a_fork_in_the_middle_of_a_request_leaves_it_to_the_parent() -> None:
    """What was under way stays the parent's; the child asks anew over its own connection."""
    arrived, release = threading.Event(), threading.Event()

    def hold(seen: Seen) -> Answer:
        if "x-slow" in seen.headers:
            arrived.set()
            assert release.wait(30)
        return Answer(body=PAGE)

    with (
        running(Loopback(hold)) as server,
        Evrun(api_key=KEY, base_url=server.base_url) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        slow = threads.submit(total, client.with_options(extra_headers={"X-Slow": "1"}))
        assert arrived.wait(30)
        assert in_child(lambda: assert_no_total(client)) == 0
        release.set()
        assert slow.result(30) == 0
    assert (server.connections, len(server.seen)) == (2, 2)


def test_an_async_client_works_in_a_fork(server: Loopback) -> None:
    """The same for `AsyncEvrun`, forked between two event loops, and inside one."""
    client = AsyncEvrun(api_key=KEY, base_url=server.base_url)

    async def ask() -> None:
        assert (await client.projects.list()).total == 0

    def work() -> None:
        asyncio.run(ask())

    async def main() -> None:
        await ask()
        assert in_child(work) == 0
        await ask()

    asyncio.run(main())
    assert in_child(work) == 0
    asyncio.run(client.aclose())
    assert (server.connections, len(server.seen)) == (3, 4)


def test_connections_that_are_not_ours_do_not_survive_a_fork(server: Loopback) -> None:
    """A used `http_client` of the user's is the parent's; an unused one is anybody's."""
    with (
        httpx.Client() as http_client,
        Evrun(api_key=KEY, base_url=server.base_url, http_client=http_client) as client,
    ):
        assert in_child(lambda: assert_no_total(client)) == 0
        assert total(client) == 0

        def work() -> None:
            with pytest.raises(ConfigurationError, match="belong to the process that this one"):
                total(client)

        assert in_child(work) == 0
        assert total(client) == 0


# Event loops.


def test_an_async_client_outlives_event_loops(server: Loopback) -> None:
    """One client over several `asyncio.run`: each keeps a connection alive and closes it."""
    client = AsyncEvrun(api_key=KEY, base_url=server.base_url)

    async def ask() -> None:
        for _ in range(3):
            assert (await client.projects.list()).total == 0

    for _ in range(4):
        asyncio.run(ask())
        assert client._pool._clients == {}
    asyncio.run(client.aclose())
    assert (server.connections, len(server.seen)) == (4, 12)


def test_an_async_client_in_two_threads_at_a_time(server: Loopback) -> None:
    """Two loops in two threads share a client and no connection."""
    client = AsyncEvrun(api_key=KEY, base_url=server.base_url)
    together = threading.Barrier(2)

    async def ask(name: str) -> None:
        view = client.with_options(extra_headers={"X-Thread": name})
        for _ in range(20):
            together.wait(30)
            assert (await view.projects.list()).total == 0

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: asyncio.run(ask(name)), "ab"))
    by_thread = {(seen.headers["x-thread"], seen.connection) for seen in server.seen}
    assert (len(by_thread), server.connections, len(server.seen)) == (2, 2, 40)
    asyncio.run(client.aclose())


def test_an_async_client_may_be_closed_in_another_loop(server: Loopback) -> None:
    """Closing ends it everywhere: what another loop opened is closed with that loop."""
    client = AsyncEvrun(api_key=KEY, base_url=server.base_url)

    async def main() -> None:
        await client.projects.list()
        await asyncio.to_thread(lambda: asyncio.run(client.aclose()))
        with pytest.raises(ConfigurationError, match="This client was closed"):
            await client.projects.list()

    asyncio.run(main())
    assert client._pool._clients == {}


def test_a_loop_that_is_run_by_hand_is_closed_by_hand(server: Loopback) -> None:
    """`run_until_complete` and `aclose` leave nothing open either."""
    client = AsyncEvrun(api_key=KEY, base_url=server.base_url)
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(client.projects.list()).total == 0
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()
    assert client._pool._clients == {}


def test_cancelling_leaves_a_client_that_works(server: Loopback) -> None:
    """Tasks that are cancelled, at whichever step, take no place in the pool with them."""

    async def main() -> None:
        async with AsyncEvrun(
            api_key=KEY, base_url=server.base_url, concurrency=2, timeout=10, max_retries=0
        ) as client:
            for steps in range(80):
                tasks = [asyncio.ensure_future(client.projects.list()) for _ in range(5)]
                for _ in range(steps):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert (await client.projects.list()).total == 0

    asyncio.run(main())


def test_cancelling_one_call_leaves_the_others(server: Loopback) -> None:
    """What was under way beside a cancelled call is finished, and its connections are closed."""
    both, release = threading.Barrier(3), threading.Event()

    def hold(seen: Seen) -> Answer:
        if "x-slow" in seen.headers:
            both.wait(30)
            release.wait(30)
        return Answer(body=PAGE)

    server.answer = hold

    async def main() -> None:
        async with AsyncEvrun(api_key=KEY, base_url=server.base_url) as client:
            slow = client.with_options(extra_headers={"X-Slow": "1"})
            cancelled, kept = (asyncio.ensure_future(slow.projects.list()) for _ in range(2))
            await asyncio.to_thread(both.wait, 30)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert (await client.projects.list()).total == 0
            release.set()
            assert (await kept).total == 0
        assert client._pool._clients == {}

    asyncio.run(main())
    assert server.connections == 3


def test_cancelling_leaves_a_client_of_the_users_alone(server: Loopback) -> None:
    """An `http_client` stays in use: it is not ours to replace or to close."""

    async def main() -> None:
        async with (
            httpx.AsyncClient() as http_client,
            AsyncEvrun(api_key=KEY, base_url=server.base_url, http_client=http_client) as client,
        ):
            task = asyncio.ensure_future(client.projects.list())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not http_client.is_closed
            assert (await client.projects.list()).total == 0

    asyncio.run(main())


def test_a_server_that_is_gone_is_the_same_in_every_loop(server: Loopback) -> None:
    """Errors leave no connection behind either."""
    client = AsyncEvrun(api_key=KEY, base_url="http://127.0.0.1:1/v4", max_retries=0)

    async def ask() -> None:
        with pytest.raises(ConnectError, match="Nothing was sent"):
            await client.projects.list()

    asyncio.run(ask())
    asyncio.run(ask())
    assert client._pool._clients == {}


# Threads.


def test_threads_share_a_pool(server: Loopback) -> None:
    """32 threads with views of one client need no more connections than there are threads."""
    with Evrun(api_key=KEY, base_url=server.base_url) as client, ThreadPoolExecutor(32) as threads:

        def work(thread: int) -> int:
            with client.with_options(extra_headers={"X-Thread": str(thread)}) as view:
                return sum(total(view) for _ in range(10))

        assert list(threads.map(work, range(32))) == [0] * 32
    assert server.connections <= 32
    assert len(server.seen) == 320


# The end of the interpreter.

OVER = ("httpx", "fast", "http_client", "local")
ONE, MANY = ("first", "deadline", "awaited"), ("many a", "many b", "awaited many a")
LOGS = (*ONE, *MANY, "awaited many b")


@pytest.mark.parametrize("phases", ["thread exit", "executor"])
def test_nothing_is_lost_at_the_end_of_a_program(phases: str, tmp_path: Path) -> None:
    """A thread that outlives the main thread logs, and so does a handler of `atexit`.

    Over every transport, by single calls and by many, blocking and awaited, by name of the host.
    """
    path = tmp_path / "evals.db"
    with Server(f"sqlite:///{path}") as server, server.client() as client:
        seeded = seed(client)
        ids = seeded.run.id, seeded.datapoints[0].id
        at = server.base_url
        # By a name, `asyncio.run` of Python 3.12 itself fails in an executor's last task: it starts
        # a thread to end the executor that looked the name up.
        if phases != "executor" or sys.version_info[:2] != (3, 12):
            at = at.replace("127.0.0.1", "localhost")
        done = subprocess.run(
            [sys.executable, LEAVING, phases, at, server.key, path, *ids],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        stored = [log.output for log in client.logs.list(seeded.project.id, size=100).records]
    assert (done.returncode, done.stderr) == (0, "")
    expected = itertools.product(phases.split(), OVER, LOGS)
    assert sorted(map(str, stored)) == sorted(map(" ".join, expected))


def test_names_are_looked_up_without_an_executor(server: Loopback) -> None:
    """An event loop whose executor has ended does it itself; other errors stay what they are."""

    def broken(_: httpx.Request) -> None:
        raise RuntimeError("a defect of a hook")

    async def main() -> None:
        ended = ThreadPoolExecutor(1)
        ended.shutdown()
        asyncio.get_running_loop().set_default_executor(ended)
        base_url = server.base_url.replace("127.0.0.1", "localhost")
        async with AsyncEvrun(api_key=KEY, base_url=base_url) as client:
            assert (await client.projects.list()).total == 0
        hooks = {"request": [broken]}
        async with (
            httpx.AsyncClient(event_hooks=hooks) as http_client,
            AsyncEvrun(api_key=KEY, base_url=base_url, http_client=http_client) as client,
        ):
            with pytest.raises(RuntimeError, match="a defect of a hook"):
                await client.projects.list()

    asyncio.run(main())


def test_a_deadline_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be started, the attempt is made here, with its own time limits."""

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    transport = httpx.MockTransport(FakeApi(200, PAGE))
    with Evrun(api_key=KEY, base_url=BASE_URL, transport=transport, deadline=5) as client:
        assert total(client) == 0


@pytest.mark.parametrize("cls", [Evrun, AsyncEvrun])
def test_a_copy_finds_the_proxy_of_its_own_environment(
    cls: type[Evrun | AsyncEvrun], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings travel; what the environment says is read where the copy is made."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    client = cls(api_key=KEY, base_url="http://evrun.invalid/v4")
    content = pickle.dumps(client)
    assert client._pool.settings.via is not None
    monkeypatch.delenv("HTTP_PROXY")
    other = pickle.loads(content)  # noqa: S301 - our own bytes
    assert other._pool.settings.via is None
