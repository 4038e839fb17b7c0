"""Drive `_exchange` over a real httpx client: one small transport for sync, one for async.

These sit below generated code (`httpx_args={"transport": …}`), so that whoever calls the generated
functions through `client.generated` gets the same errors. What they send goes through an inner
httpx client, not a bare transport: httpx reads proxies, `verify`, `cert` and limits in its client,
and drops them in silence when the outer client is given a transport.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, cast

import httpx

from evrun._exchange import exchange
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Never


class Transport(httpx.BaseTransport):
    """Send requests through `make()`'s client, which is built at the first request."""

    def __init__(self, make: Callable[[], httpx.Client], *, owned: bool) -> None:
        self._make = make
        self._owned = owned
        self._inner: httpx.Client | None = None
        self._building = Lock()  # several threads may send the first request

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return a read response with a status of 2xx, or raise an `EvrunError`."""
        flow = exchange(request)
        outgoing = next(flow)
        while True:
            outcome = self._attempt(outgoing)
            try:
                outgoing = flow.send(outcome)
            except StopIteration as done:
                return cast("httpx.Response", done.value)

    def _attempt(self, request: httpx.Request) -> httpx.Response | httpx.HTTPError:
        with self._building:
            if self._inner is None:
                self._inner = self._make()
        try:
            return self._inner.send(request, follow_redirects=False)
        except httpx.HTTPError as error:
            return error

    def handle_async_request(self, _: httpx.Request) -> Never:
        """Refuse: an `Evrun` cannot be awaited."""
        raise ConfigurationError("This client is synchronous; use AsyncEvrun(…).generated.")

    def close(self) -> None:
        """Close the inner client, unless it is the user's own."""
        if self._owned and self._inner is not None:
            self._inner.close()


class AsyncTransport(httpx.AsyncBaseTransport):
    """Like `Transport`, awaited."""

    def __init__(self, make: Callable[[], httpx.AsyncClient], *, owned: bool) -> None:
        self._make = make
        self._owned = owned
        self._inner: httpx.AsyncClient | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Like `Transport.handle_request`, awaited."""
        flow = exchange(request)
        outgoing = next(flow)
        while True:
            outcome = await self._attempt(outgoing)
            try:
                outgoing = flow.send(outcome)
            except StopIteration as done:
                return cast("httpx.Response", done.value)

    async def _attempt(self, request: httpx.Request) -> httpx.Response | httpx.HTTPError:
        if self._inner is None:
            self._inner = self._make()
        try:
            return await self._inner.send(request, follow_redirects=False)
        except httpx.HTTPError as error:
            return error

    def handle_request(self, _: httpx.Request) -> Never:
        """Refuse: an `AsyncEvrun` must be awaited."""
        raise ConfigurationError("This client is asynchronous; use Evrun(…).generated.")

    async def aclose(self) -> None:
        """Close the inner client, unless it is the user's own."""
        if self._owned and self._inner is not None:
            await self._inner.aclose()
