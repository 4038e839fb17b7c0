"""The server inside this process, without a port, for `Evrun.local`.

No thread starts before the first request. A forked child gets its own server over the same file.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from sqlalchemy import URL

from evrun.errors import ConfigurationError
from evrun.server.api.app import create_app
from evrun.server.api.operations import PREFIX
from evrun.server.db.database import Database
from evrun.server.errors import DatabaseUnusableError, UnavailableError
from evrun.server.hosting.loop_thread import CallerThread, LoopThread, ThreadStartError
from evrun.server.store.api_keys import generate_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from starlette.applications import Starlette

    from evrun.server.api.faults import Faults


class EmbeddedServer:
    """The server over a SQLite file, which it creates if it does not exist, or another database.

    Several processes may use the same file at a time. `close` also closes the database. With
    `faults` requests fail on purpose.
    """

    base_url = f"http://evrun.local{PREFIX}"
    """The server's name in messages. It is never resolved."""

    def __init__(
        self, where: str | os.PathLike[str] | Database, *, faults: Faults | None = None
    ) -> None:
        if isinstance(where, Database):
            database = where
        else:
            database = Database(URL.create("sqlite", database=os.fspath(where)))
        self._name = database.name
        self.key = generate_key()
        """Valid for this object only; it acts for the default organisation."""
        make_app = partial(create_app, database, local_key=self.key, faults=faults)
        self._state = _ServerState(database, make_app)
        # It runs when the object is collected, and at the interpreter's exit. `atexit` handlers
        # that were registered earlier run later, and may still send requests.
        self._finalizer = weakref.finalize(self, self._state.stop)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(self._name)

    def open(self) -> None:
        """Open the database, which the first request would open else.

        Raises `ConfigurationError` if it cannot be opened.
        """
        self._state.open()

    def transport(self) -> httpx.BaseTransport:
        """Return a transport for an `httpx.Client`. It has nothing to close."""
        return _Transport(self)

    def async_transport(self) -> httpx.AsyncBaseTransport:
        """Return a transport for an `httpx.AsyncClient`, which may outlive an `asyncio.run`."""
        return _AsyncTransport(self)

    def submit(self, request: httpx.Request, content: bytes) -> Future[httpx.Response]:
        """Send a request, starting the server at the first.

        Raises `ConfigurationError` if it is closed, or cannot open the database.
        """
        return self._state.submit(request, content)

    def close(self) -> None:
        """Let running requests finish, then close the file. Closing twice is fine."""
        self._finalizer.detach()
        self._state.stop(for_good=True)


class _ServerState:
    """Starts and stops the application's thread.

    It is a class of its own because the finalizer of `EmbeddedServer` must not refer to it.
    """

    def __init__(self, database: Database, make_app: Callable[[], Starlette]) -> None:
        self._database = database
        self._make_app = make_app
        self._running: LoopThread | None = None
        self._closed = False
        self._lock = threading.Lock()
        _STATES.add(self)

    def open(self) -> None:
        try:
            self._database.open()
        except (DatabaseUnusableError, UnavailableError) as error:
            raise ConfigurationError(str(error)) from error

    def submit(self, request: httpx.Request, content: bytes) -> Future[httpx.Response]:
        with self._lock:
            return self._started().submit(request, content)

    def _started(self) -> LoopThread | CallerThread:
        if self._closed:
            raise ConfigurationError(
                "The embedded server was closed. Make a new client with Evrun.local(…)."
            )
        if self._running is None:
            self.open()  # here, so that the thread's start does not fail
            try:
                self._running = LoopThread(self._make_app())
            except ThreadStartError:
                return CallerThread(self._make_app())
        return self._running

    def stop(self, *, for_good: bool = False) -> None:
        """Let running requests finish, then close the file. The next request starts again."""
        with self._lock:
            self._closed |= for_good
            running, self._running = self._running, None
        if running is not None:
            running.stop()
        self._database.close()  # without a thread, no lifespan has closed it

    def forked(self) -> None:
        """Forget the parent's thread, which does not run here. Its loop must stay open."""
        if self._running is not None:
            _INHERITED.append(self._running)
        self._running = None
        self._lock = threading.Lock()


_STATES: weakref.WeakSet[_ServerState] = weakref.WeakSet()
_INHERITED: list[LoopThread] = []  # collecting a loop would close what the parent still uses


def _after_in_child() -> None:
    for state in list(_STATES):
        state.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)


def _read_timeout(request: httpx.Request) -> float | None:
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    return seconds


def _timed_out(request: httpx.Request) -> httpx.ReadTimeout:
    return httpx.ReadTimeout("the embedded server took too long", request=request)


class _Transport(httpx.BaseTransport):
    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        future = self._server.submit(request, request.read())
        try:
            return future.result(_read_timeout(request))
        except TimeoutError:
            future.cancel()
            raise _timed_out(request) from None
        except BaseException:
            future.cancel()
            raise


class _AsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        future = self._server.submit(request, content)
        try:
            async with asyncio.timeout(_read_timeout(request)):
                # Cancelling the wrapper cancels the future, and with it the application's task.
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise _timed_out(request) from None
