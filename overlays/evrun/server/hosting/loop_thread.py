"""Runs an ASGI application in this process, with an event loop in a thread and without a port.

`httpx.ASGITransport` runs no lifespan, knows no timeouts, and needs a loop of the caller.
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

DRAIN_TIMEOUT = 10.0
"""Seconds that running requests have when the thread stops."""


class ThreadStartError(Exception):
    """No thread can be started: `CallerThread` needs none."""


class LoopThread:
    """One application, its loop and its thread, which starts at once. Not reusable."""

    def __init__(self, app: Starlette) -> None:
        """Start the application. Raises what its lifespan raises, or `ThreadStartError`."""
        self._app = app
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._stopping = False
        self._requests: set[asyncio.Task[Any]] = set()
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="evrun-server", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:
            raise ThreadStartError from error
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
            if self._requests:
                await asyncio.wait(self._requests, timeout=DRAIN_TIMEOUT)
            self._stopping = True
            for task in self._requests:
                task.cancel()

    def submit(self, request: httpx.Request, content: bytes) -> Future[httpx.Response]:
        """Send a request. Cancelling the future cancels it in the application too."""
        return asyncio.run_coroutine_threadsafe(self._handle(request, content), self._loop)

    async def _handle(self, request: httpx.Request, content: bytes) -> httpx.Response:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we run in one
        self._requests.add(task)
        try:
            return await _call(self._app, request, content)
        except asyncio.CancelledError:
            if self._stopping:
                message = "The embedded server was closed before it answered."
                raise httpx.ReadError(message, request=request) from None
            raise
        finally:
            self._requests.discard(task)

    def stop(self) -> None:
        """Let running requests finish, run the lifespan's end, and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            if threading.current_thread() is not self._thread:
                self._thread.join()


class CallerThread:
    """Like `LoopThread`, in the thread of the caller.

    For when no thread can be started, as after the end of the main thread (Python 3.12). The
    application starts and ends with each request, and there may be one request at a time.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def submit(self, request: httpx.Request, content: bytes) -> Future[httpx.Response]:
        """Handle a request. The future is done."""
        future: Future[httpx.Response] = Future()
        # The calling thread may run a loop, which waits meanwhile.
        running = asyncio._get_running_loop()  # noqa: SLF001 - exported for code that runs loops
        asyncio._set_running_loop(None)  # noqa: SLF001
        try:
            future.set_result(asyncio.run(self._handle(request, content)))
        except Exception as error:  # noqa: BLE001 - `Future.result` raises it
            future.set_exception(error)
        finally:
            asyncio._set_running_loop(running)  # noqa: SLF001
        return future

    async def _handle(self, request: httpx.Request, content: bytes) -> httpx.Response:
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
    closed = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        await closed.wait()  # the client does not disconnect before
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            body.append(message.get("body", b""))

    try:
        await app({**_scope(request), "extensions": {HANG_UP: closed.set}}, receive, send)
    except Exception as error:
        if not start:
            raise httpx.ReadError(
                f"The embedded server failed: {error}", request=request
            ) from error
    if closed.is_set():
        return _cut_off(request, start, b"".join(body))
    return httpx.Response(start["status"], headers=start["headers"], content=b"".join(body))


def _cut_off(request: httpx.Request, start: dict[str, Any], body: bytes) -> httpx.Response:
    """Return or raise what a client gets when its connection is closed."""
    if not start:
        raise httpx.ReadError("The embedded server closed the connection.", request=request)
    return httpx.Response(
        start["status"], headers=start["headers"], stream=_CutStream(request, body)
    )


class _CutStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The beginning of a body, then the error of a connection that closes too early."""

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
