"""Runs an ASGI application in this process: an event loop in a thread of its own, and no port.

`httpx.ASGITransport` would do for a test; it runs no lifespan, knows no timeouts, and needs the
caller to have a loop.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import httpx

from evrun.server.api.faults.connection import HANG_UP
from evrun.server.errors import DatabaseUnusableError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.applications import Starlette

DRAIN = 10.0
"""Seconds that requests under way get when the host stops."""


class NoThread(Exception):  # noqa: N818 - not a fault: see `Visitor`
    """No thread can be started."""


class Host:
    """One application, its loop and its thread. It starts when it is made. Not reusable."""

    def __init__(self, app: Starlette) -> None:
        """Start the application. Raises what its lifespan raises, or `NoThread`."""
        self._app = app
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._stopping = False
        self._exchanges: set[asyncio.Task[Any]] = set()
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="evrun-server", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:
            raise NoThread from error
        started.result()

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._app.router.lifespan_context(self._app):
            started.set_result(None)
            await self._stop.wait()
            if self._exchanges:
                await asyncio.wait(self._exchanges, timeout=DRAIN)
            self._stopping = True
            for task in self._exchanges:
                task.cancel()

    def submit(self, request: httpx.Request, content: bytes) -> Future[httpx.Response]:
        """Send a request. Cancelling the future cancels it in the application too."""
        return asyncio.run_coroutine_threadsafe(self._exchange(request, content), self._loop)

    async def _exchange(self, request: httpx.Request, content: bytes) -> httpx.Response:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we run in one
        self._exchanges.add(task)
        try:
            return await _call(self._app, request, content)
        except asyncio.CancelledError:
            if self._stopping:
                message = "The embedded server was closed before it answered."
                raise httpx.ReadError(message, request=request) from None
            raise
        finally:
            self._exchanges.discard(task)

    def stop(self) -> None:
        """Let requests under way finish, run the lifespan's end, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            if threading.current_thread() is not self._thread:
                self._thread.join()


class Visitor:
    """Like `Host`, in the thread of whoever asks: where no other can be started.

    That is so when the main thread has ended (Python 3.12). The application begins and ends with
    each request, of which there may be one at a time.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def submit(self, request: httpx.Request, content: bytes) -> Future[httpx.Response]:
        """Carry out a request. The future has its answer."""
        future: Future[httpx.Response] = Future()
        # The asking thread may run a loop, which waits meanwhile.
        running = asyncio._get_running_loop()  # noqa: SLF001 - exported for whoever runs loops
        asyncio._set_running_loop(None)  # noqa: SLF001
        try:
            future.set_result(asyncio.run(self._exchange(request, content)))
        except Exception as error:  # noqa: BLE001 - it is raised where the future is asked
            future.set_exception(error)
        finally:
            asyncio._set_running_loop(running)  # noqa: SLF001
        return future

    async def _exchange(self, request: httpx.Request, content: bytes) -> httpx.Response:
        try:
            async with self._app.router.lifespan_context(self._app):
                return await _call(self._app, request, content)
        except (DatabaseUnusableError, UnavailableError) as error:
            raise httpx.ConnectError(str(error), request=request) from error


async def _call(app: Starlette, request: httpx.Request, content: bytes) -> httpx.Response:
    """Return the application's answer to one request."""
    incoming = [{"type": "http.request", "body": content, "more_body": False}]
    start: dict[str, Any] = {}
    body: list[bytes] = []
    hung_up = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        await hung_up.wait()  # the client stays
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            body.append(message.get("body", b""))

    try:
        await app({**_scope(request), "extensions": {HANG_UP: hung_up.set}}, receive, send)
    except Exception as error:
        if not start:
            raise httpx.ReadError(
                f"The embedded server failed: {error}", request=request
            ) from error
    if hung_up.is_set():
        return _broken_off(request, start, b"".join(body))
    return httpx.Response(start["status"], headers=start["headers"], content=b"".join(body))


def _broken_off(request: httpx.Request, start: dict[str, Any], body: bytes) -> httpx.Response:
    """Return, or raise, what a client gets from a connection that is closed on it."""
    if not start:
        raise httpx.ReadError("The embedded server closed the connection.", request=request)
    return httpx.Response(start["status"], headers=start["headers"], stream=_Part(request, body))


class _Part(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The beginning of a body, and its end before its time, as over a socket."""

    def __init__(self, request: httpx.Request, body: bytes) -> None:
        self._request = request
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise httpx.RemoteProtocolError(
            f"The embedded server closed the connection after {len(self._body)} bytes of the body.",
            request=self._request,
        )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


def _scope(request: httpx.Request) -> dict[str, Any]:
    raw_path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
    }
