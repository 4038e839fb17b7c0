"""`transport="fast"`: pyreqwest below httpx. `clients` makes its clients.

Only `http_clients` imports this, when it is needed: pyreqwest is an optional extra.

pyreqwest's own transport for httpx would not do. It adds httpx's time limits up to a single one,
and calls a request that was sent and never answered one that could not connect, which would be sent
again.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from threading import Semaphore
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import httpx

from evrun._transport.pyreqwest.clients import TimeLimits, async_clients, clients, end, seconds
from evrun.errors import ConfigurationError

# After `clients`, which says what to install.
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError  # isort: skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pyreqwest.client import Client, SyncClient
    from pyreqwest.request import (
        BaseRequestBuilder,
        RequestBuilder,
        StreamRequest,
        SyncRequestBuilder,
        SyncStreamRequest,
    )
    from pyreqwest.response import BaseResponse, Response, SyncResponse

    from evrun._transport.connection_settings import ConnectionSettings

R = TypeVar("R", bound="BaseRequestBuilder")


class FastTransport(httpx.BaseTransport):
    """Sends the requests of an `httpx.Client`."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._clients = clients(settings)
        # A pool of its own, because clients with different limits share it.
        self._free = Semaphore(settings.concurrency)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer as soon as its head is there. Raises httpx's errors."""
        over = end(request)
        if not self._free.acquire(timeout=seconds(request, "pool")):
            raise httpx.PoolTimeout(_BUSY, request=request)
        try:
            with _as_httpx(request):
                streamed = self._built(request, TimeLimits.of(request, over)).build_streamed()
                answer = streamed.__enter__()  # left by the body's close
        except BaseException:
            self._free.release()
            raise
        return _response(answer, _Body(self._free, request, streamed, answer))

    def _built(self, request: httpx.Request, limits: TimeLimits) -> SyncRequestBuilder:
        client: SyncClient = self._clients.get(limits)
        return _filled(client.request(request.method, str(request.url)), request, limits)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.pop_all():
            client.close()


class _Body(httpx.SyncByteStream):
    def __init__(
        self,
        free: Semaphore,
        request: httpx.Request,
        streamed: SyncStreamRequest,
        answer: SyncResponse,
    ) -> None:
        self._free = free
        self._request = request
        self._streamed: SyncStreamRequest | None = streamed
        self._reader = answer.body_reader

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(self._request):
            while (chunk := self._reader.read_chunk()) is not None:
                yield bytes(chunk)

    def close(self) -> None:
        streamed, self._streamed = self._streamed, None
        if streamed is not None:
            try:
                streamed.__exit__(None, None, None)
            finally:
                self._free.release()


class AsyncFastTransport(httpx.AsyncBaseTransport):
    """Sends the requests of an `httpx.AsyncClient` in one event loop."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._clients = async_clients(settings)
        self._free = asyncio.Semaphore(settings.concurrency)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Like `FastTransport.handle_request`, awaited."""
        over = end(request)
        await self._acquire(request)
        try:
            with _as_httpx(request):
                streamed = self._built(request, TimeLimits.of(request, over)).build_streamed()
                answer = await streamed.__aenter__()
        except BaseException:
            self._free.release()
            raise
        return _response(answer, _AsyncBody(self._free, request, streamed, answer))

    async def _acquire(self, request: httpx.Request) -> None:
        try:
            async with asyncio.timeout(seconds(request, "pool")):
                await self._free.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(_BUSY, request=request) from None
        except RuntimeError as error:
            raise ConfigurationError(
                'transport="fast" runs on asyncio only. Leave it out on other event loops.'
            ) from error

    def _built(self, request: httpx.Request, limits: TimeLimits) -> RequestBuilder:
        client: Client = self._clients.get(limits)
        return _filled(client.request(request.method, str(request.url)), request, limits)

    async def aclose(self) -> None:
        """Close the connections."""
        if not (kept := self._clients.pop_all()):
            return
        with anyio.CancelScope(shield=True):
            for client in kept:
                await client.close()
            await asyncio.sleep(_SETTLED)


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(
        self,
        free: asyncio.Semaphore,
        request: httpx.Request,
        streamed: StreamRequest,
        answer: Response,
    ) -> None:
        self._free = free
        self._request = request
        self._streamed: StreamRequest | None = streamed
        self._reader = answer.body_reader

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            while (chunk := await self._reader.read_chunk()) is not None:
                yield bytes(chunk)

    async def aclose(self) -> None:
        streamed, self._streamed = self._streamed, None
        if streamed is not None:
            try:
                with anyio.CancelScope(shield=True):  # the connection must go also if time is up
                    await streamed.__aexit__(None, None, None)
            finally:
                self._free.release()


_SETTLED: Final = 0.002
"""Seconds in which pyreqwest's thread, which has just woken this one, lets go of the interpreter:
the process is aborted if that ends before."""
_BUSY: Final = "all connections are busy"
_CONNECTING: Final = "client error (Connect)"
"""How hyper, below pyreqwest, names all failures before there is a connection."""
_BROKEN: Final = "connection error"
"""How hyper names errors of the system and of TLS on an open connection."""


def _filled(builder: R, request: httpx.Request, limits: TimeLimits) -> R:
    # By default up to 64 KiB of the body belong to the head: a status whose body breaks were lost.
    builder = builder.headers(request.headers.multi_items()).streamed_read_buffer_limit(0)
    if request.content:
        builder = builder.body_bytes(request.content)
    rest = limits.rest
    return builder if rest is None else builder.timeout(rest)


def _response(
    answer: BaseResponse, body: httpx.SyncByteStream | httpx.AsyncByteStream
) -> httpx.Response:
    return httpx.Response(
        answer.status,
        headers=_headers(answer),
        stream=body,
        extensions={"http_version": answer.version.encode("ascii")},
    )


def _headers(answer: BaseResponse) -> list[tuple[str, str]]:
    try:
        return list(answer.headers.items())
    except ValueError:
        # It shows no header with a value outside ASCII. None that we look at has one.
        return [
            (name, value)
            for name in dict.fromkeys(answer.headers)
            for value in _readable(answer, name)
        ]


def _readable(answer: BaseResponse, name: str) -> list[str]:
    try:
        return answer.get_header_all(name)
    except ValueError:
        return []


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Raise pyreqwest's errors as those that httpx raises."""
    try:
        yield
    except PyreqwestError as error:
        raise _httpx_error(error, request) from error
    except ValueError as error:  # an address or a header that is none
        raise httpx.LocalProtocolError(str(error), request=request) from error


def _httpx_error(error: PyreqwestError, request: httpx.Request) -> httpx.HTTPError:
    """Return httpx's error for one of pyreqwest.

    Only the causes tell what was sent: pyreqwest's `ConnectError` may also be a connection that
    broke over a request, and its `ConnectTimeoutError` an answer that did not come.
    """
    causes = [cause["message"] for cause in (getattr(error, "details", None) or {})["causes"] or ()]
    reason = causes[-1] if causes else error.message
    timed_out = isinstance(error, RequestTimeoutError)
    cls: type[httpx.TransportError] = httpx.RemoteProtocolError
    if reason.startswith("tunnel error"):
        cls = httpx.ProxyError
    elif _CONNECTING in causes:
        cls = httpx.ConnectTimeout if timed_out else httpx.ConnectError
    elif timed_out:
        cls = httpx.ReadTimeout
    elif _BROKEN in causes:
        cls = httpx.ReadError
    return cls(reason, request=request)
