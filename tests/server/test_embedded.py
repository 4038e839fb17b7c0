from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from evrun.errors import ConfigurationError
from evrun.server.hosting import embedded
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

    from _support.served import Api


@pytest.fixture
def url(file: Path) -> str:
    """Return a SQLite file: that is what `Evrun.local` takes."""
    return f"sqlite:///{file}"


class Slow:
    """An application that waits for ever, and notes how its requests end."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.lifespan: list[str] = []

    async def wait(self, _: Request) -> PlainTextResponse:
        self.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return PlainTextResponse("late")

    async def fail(self, _: Request) -> PlainTextResponse:
        raise RuntimeError("a defect")

    @asynccontextmanager
    async def live(self, _: Starlette) -> AsyncIterator[None]:
        self.lifespan.append("start")
        yield
        self.lifespan.append("end")

    def app(self, *_: Any, **__: Any) -> Starlette:
        """Stand in for `create_app`."""
        routes = [Route("/v4/wait", self.wait), Route("/v4/fail", self.fail)]
        return Starlette(routes=routes, lifespan=self.live)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Return an application that the embedded server hosts instead of ours."""
    slow = Slow()
    monkeypatch.setattr(embedded, "create_app", slow.app)
    return slow


def _client(server: EmbeddedServer, **options: Any) -> httpx.Client:
    return httpx.Client(
        transport=server.transport(),
        base_url=server.base_url,
        headers={"X-API-KEY": server.key},
        **options,
    )


def _async_client(server: EmbeddedServer, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=server.async_transport(),
        base_url=server.base_url,
        headers={"X-API-KEY": server.key},
        **options,
    )


def test_nothing_starts_before_the_first_request(file: Path) -> None:
    """Making and closing a server leaves no file and no thread."""
    before = threading.active_count()
    server = EmbeddedServer(file)
    server.close()
    assert not file.exists()
    assert threading.active_count() == before


def test_opening_starts_no_thread(file: Path) -> None:
    """A server that is opened has made the file, and closes it without a request."""
    before = threading.active_count()
    server = EmbeddedServer(file)
    server.open()
    assert file.with_name(file.name + "-wal").exists()
    assert threading.active_count() == before
    server.close()
    assert list(file.parent.iterdir()) == [file]


def test_a_timeout_is_an_httpx_timeout(slow: Slow, file: Path) -> None:
    """It comes in time, and cancels the request in the application."""
    server = EmbeddedServer(file)
    with pytest.raises(httpx.ReadTimeout):
        _client(server, timeout=0.05).get("/wait")
    assert slow.cancelled.wait(5)
    server.close()
    assert slow.lifespan == ["start", "end"]


def test_an_async_timeout_is_the_same(slow: Slow, file: Path) -> None:
    """Like the sync one, awaited."""
    server = EmbeddedServer(file)

    async def main() -> None:
        with pytest.raises(httpx.ReadTimeout):
            await _async_client(server, timeout=0.05).get("/wait")

    asyncio.run(main())
    assert slow.cancelled.wait(5)
    server.close()


def test_cancelling_reaches_the_application(slow: Slow, file: Path) -> None:
    """A cancelled task's request is cancelled too."""
    server = EmbeddedServer(file)

    async def main() -> None:
        task = asyncio.create_task(_async_client(server, timeout=None).get("/wait"))
        await asyncio.to_thread(slow.started.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert slow.cancelled.wait(5)
    server.close()


def test_cancelling_reaches_a_request_that_was_just_handed_over(
    slow: Slow, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request starts the server: there is no moment at which it cannot be taken back."""
    submit = embedded._ServerState.submit

    def lingering(*given: Any) -> Any:
        future = submit(*given)
        slow.started.wait(5)
        threading.Event().wait(0.3)
        return future

    monkeypatch.setattr(embedded._ServerState, "submit", lingering)
    test_cancelling_reaches_the_application(slow, file)


def test_closing_ends_what_does_not_end(
    slow: Slow, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that outlives the drain gets httpx's ReadError."""
    monkeypatch.setattr("evrun.server.hosting.loop_thread.DRAIN_TIMEOUT", 0.05)
    server = EmbeddedServer(file)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(_client(server, timeout=None).get, "/wait")
        assert slow.started.wait(5)
        server.close()
        with pytest.raises(httpx.ReadError, match="closed before it answered"):
            pending.result(5)


def test_an_application_that_breaks_is_a_500(slow: Slow, file: Path) -> None:
    """What Starlette answers arrives, although it raises as well."""
    server = EmbeddedServer(file)
    assert _client(server).get("/fail").status_code == 500
    server.close()


def test_a_closed_server_says_so(file: Path) -> None:
    """Closing twice is fine; a request afterwards is our error, with what to do."""
    server = EmbeddedServer(file)
    client = _client(server)
    assert client.get("/projects").status_code == 200
    server.close()
    server.close()
    with pytest.raises(ConfigurationError, match=r"closed\. Make a new client with Evrun\.local"):
        client.get("/projects")


@pytest.mark.parametrize("asked", [False, True])
def test_a_forgotten_server_is_closed(asked: bool, file: Path) -> None:
    """Its thread ends and its files are closed when nothing refers to it."""
    before = set(threading.enumerate())
    server = EmbeddedServer(file)
    server.open()
    if asked:
        _client(server).get("/projects")
    del server
    gc.collect()
    assert set(threading.enumerate()) <= before
    assert not file.with_name(file.name + "-wal").exists()


def test_a_file_that_cannot_be_opened_is_our_error(tmp_path: Path) -> None:
    """Opened or asked, with the database's own sentence; once the cause is gone, it works."""
    before = threading.active_count()
    server = EmbeddedServer(tmp_path / "later" / "a.db")
    for attempt in (server.open, lambda: _client(server).get("/projects")):
        with pytest.raises(ConfigurationError, match="does not exist"):
            attempt()
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before
    (tmp_path / "later").mkdir()
    assert _client(server).get("/projects").status_code == 200
    server.close()


def test_one_client_serves_several_loops(server: EmbeddedServer) -> None:
    """An async client works in one asyncio.run after another."""
    client = _async_client(server)

    async def create(name: str) -> int:
        return (await client.post("/projects", json={"name": name})).status_code

    assert [asyncio.run(create(name)) for name in "abc"] == [201, 201, 201]


def test_many_threads_and_tasks_write_at_once(server: EmbeddedServer, api: Api) -> None:
    """No write is lost and none fails."""
    client = _client(server)
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: client.post("/projects", json={"name": f"t{n}"}), range(100))
        )

    async def main() -> list[httpx.Response]:
        async_client = _async_client(server)
        return await asyncio.gather(
            *(async_client.post("/projects", json={"name": f"a{n}"}) for n in range(100))
        )

    assert {each.status_code for each in answers + asyncio.run(main())} == {201}
    assert api.ok("Projects_list")["total"] == 200


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_server_of_its_own(server: EmbeddedServer, api: Api) -> None:
    """Parent and child go on, over the same file and with the same client object."""
    client = _client(server, timeout=10)
    assert client.post("/projects", json={"name": "before"}).status_code == 201
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = client.post("/projects", json={"name": "child"}).status_code != 201
            server.close()
        finally:
            os._exit(status)
    assert client.post("/projects", json={"name": "parent"}).status_code == 201
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    names = {each["name"] for each in api.ok("Projects_list")["records"]}
    assert names == {"before", "parent", "child"}


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_who_asks_does_the_work_where_there_is_no_thread(
    file: Path, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an `atexit` handler on Python 3.12: also within an event loop, and awaited."""
    server = EmbeddedServer(file)
    client = _client(server)

    def create(name: str) -> int:
        return client.post("/projects", json={"name": name}).status_code

    async def main() -> list[int]:
        async with _async_client(server) as async_client:
            awaited = await async_client.post("/projects", json={"name": "awaited"})
        return [create("in a loop"), awaited.status_code]

    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", no_thread)
        assert [create("a"), create("b"), *asyncio.run(main())] == [201] * 4
        assert not file.with_name(file.name + "-wal").exists()
        with pytest.raises(ConfigurationError, match="does not exist"):
            _client(EmbeddedServer(file.parent / "removed" / "a.db")).get("/projects")
    assert create("in a thread") == 201
    server.close()
    assert api.ok("Projects_list")["total"] == 5


def test_leaving_without_closing_is_clean(file: Path, environment: dict[str, str]) -> None:
    """The interpreter ends at once, with nothing on stderr, and the file is closed."""
    code = (
        "import sys, httpx; from evrun.server.hosting.embedded import EmbeddedServer; "
        "s = EmbeddedServer(sys.argv[1]); c = httpx.Client(transport=s.transport(), "
        "base_url=s.base_url, headers={'X-API-KEY': s.key}); "
        "print(c.post('/projects', json={'name': 'p'}).status_code)"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, str(file)],
        env=environment,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"201", b"")
    assert not file.with_name(file.name + "-wal").exists()
