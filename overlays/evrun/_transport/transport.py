"""Drive `exchange` over a real httpx client: one small transport for sync, one for async.

They are below generated code (`httpx_args={"transport": …}`), so that `client.generated` has the
same retries and errors.
"""

from __future__ import annotations

import contextvars
import ssl
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import httpx

from evrun._transport import call_state
from evrun._transport.exchange import Attempt, exchange
from evrun._transport.name_lookup import look_up_without_executor
from evrun._transport.proxies import VIA
from evrun._transport.reading import read, read_async
from evrun._transport.retry import Wait
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Never

    from evrun._transport.clock import Clock
    from evrun._transport.exchange import Announced
    from evrun._transport.failures import AttemptResult
    from evrun._transport.pool import AsyncPool, Pool
    from evrun._transport.settings import Options
    from evrun.middleware import AsyncMiddleware, AsyncSend, Middleware, Send

S = TypeVar("S")
R = TypeVar("R")


def _around(middleware: Callable[[httpx.Request, S], R], send: S) -> Callable[[httpx.Request], R]:
    return lambda request: middleware(request, send)


def _mark(request: httpx.Request, pool: Pool | AsyncPool) -> None:
    """Let errors know of a proxy on the way."""
    if pool.settings.via is not None:
        request.extensions = {**request.extensions, VIA: pool.settings.via}


_GRACE = 0.1
"""Seconds beyond the deadline in which an attempt may end by its own limits: those know what was
sent, and so say more."""


class Transport(httpx.BaseTransport):
    """Send requests through a pool, which several transports may share."""

    def __init__(self, pool: Pool, options: Options, announced: Announced, clock: Clock) -> None:
        self._pool = pool
        self._options = options
        self._announced = announced
        self._clock = clock
        self._send: Send = self._once
        for middleware in reversed(pool.settings.middleware):
            self._send = _around(cast("Middleware", middleware), self._send)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return a read response with a status of 2xx, or raise an `EvrunError`."""
        _mark(request, self._pool)
        flow = exchange(request, self._options, self._announced, self._clock)
        step = next(flow)
        while True:
            result = self._perform(step)
            try:
                step = flow.send(result)
            except StopIteration as done:
                return cast("httpx.Response", done.value)

    def _perform(self, step: Attempt | Wait) -> AttemptResult | None:
        if isinstance(step, Wait):
            self._clock.sleep(step.seconds)
            return None
        try:
            if step.time_left is None:
                return self._send(step.request)
            return _within(step.time_left + _GRACE, partial(self._send, step.request))
        except httpx.HTTPError as error:
            return error
        except Exception as error:
            call_state.current().raised = error
            raise

    def _once(self, request: httpx.Request) -> httpx.Response:
        client = self._pool.client()
        if client.is_closed:
            raise _closed_by_user()
        with _httpx_names():
            return read(client.send(request, stream=True, follow_redirects=False))

    def handle_async_request(self, _: httpx.Request) -> Never:
        """Refuse: an `Evrun` cannot be awaited."""
        raise ConfigurationError("This client is synchronous; use AsyncEvrun(…).generated.")


def _within(seconds: float, send: Callable[[], httpx.Response]) -> httpx.Response:
    """Return `send()`, or raise `httpx.ReadTimeout` after `seconds`.

    httpx's limits are for single reads: a name that is never resolved and a byte now and then
    outlive them all. So the attempt runs in a thread of its own. When time is up, the caller goes
    on without that thread: it ends by httpx's limits, and its result is dropped. If no thread can
    be started, only httpx's limits hold.
    """
    ended: list[httpx.Response | BaseException] = []
    context = contextvars.copy_context()

    def attempt() -> None:
        try:
            ended.append(context.run(send))
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the caller's thread
            ended.append(error)

    thread = threading.Thread(target=attempt, name="evrun-deadline", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the machine has none left, or the interpreter ends (Python 3.12)
        return send()
    thread.join(seconds)
    if not ended:
        raise httpx.ReadTimeout("the deadline passed")
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


@contextmanager
def _httpx_names() -> Iterator[None]:
    """Raise a TLS alert as an error of httpx, which does not do so for async connections."""
    try:
        yield
    except ssl.SSLError as error:
        raise httpx.ReadError(str(error)) from error


def _closed_by_user() -> ConfigurationError:
    return ConfigurationError("The http_client of this client was closed. Close it last.")


class AsyncTransport(httpx.AsyncBaseTransport):
    """Like `Transport`, awaited."""

    def __init__(
        self, pool: AsyncPool, options: Options, announced: Announced, clock: Clock
    ) -> None:
        self._pool = pool
        self._options = options
        self._announced = announced
        self._clock = clock
        self._send: AsyncSend = self._once
        for middleware in reversed(pool.settings.middleware):
            self._send = _around(cast("AsyncMiddleware", middleware), self._send)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Like `Transport.handle_request`, awaited."""
        _mark(request, self._pool)
        flow = exchange(request, self._options, self._announced, self._clock)
        step = next(flow)
        while True:
            result = await self._perform(step)
            try:
                step = flow.send(result)
            except StopIteration as done:
                return cast("httpx.Response", done.value)

    async def _perform(self, step: Attempt | Wait) -> AttemptResult | None:
        if isinstance(step, Wait):
            await self._clock.sleep_async(step.seconds)
            return None
        try:
            if step.time_left is None:
                return await self._send(step.request)
            return await self._within(step.time_left + _GRACE, step.request)
        except httpx.HTTPError as error:
            return error
        except Exception as error:
            call_state.current().raised = error
            raise

    async def _within(self, seconds: float, request: httpx.Request) -> httpx.Response:
        import anyio  # noqa: PLC0415 - httpx brings it; a client without deadlines does without

        with anyio.move_on_after(seconds):
            return await self._send(request)
        raise httpx.ReadTimeout("the deadline passed", request=request)

    async def _once(self, request: httpx.Request) -> httpx.Response:
        async with self._pool.client() as client:
            if client.is_closed:
                raise _closed_by_user()
            with _httpx_names():
                return await read_async(await self._answer(client, request))

    @staticmethod
    async def _answer(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        try:
            return await client.send(request, stream=True, follow_redirects=False)
        except RuntimeError as error:
            if not look_up_without_executor(error):
                raise
        return await client.send(request, stream=True, follow_redirects=False)

    def handle_request(self, _: httpx.Request) -> Never:
        """Refuse: an `AsyncEvrun` must be awaited."""
        raise ConfigurationError("This client is asynchronous; use Evrun(…).generated.")
