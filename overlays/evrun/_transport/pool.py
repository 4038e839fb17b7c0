"""The pool: it makes the `httpx.Client` of a client late, and closes it.

It makes one at the first request: not before, because a TLS context costs more than all of
`import httpx`; and a new one in a forked child, because two processes cannot share a connection.
"""

from __future__ import annotations

import os
import weakref
from contextlib import asynccontextmanager
from threading import Lock, get_ident
from typing import TYPE_CHECKING

import httpx
from attrs import define

from evrun._transport import http_clients
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from evrun._transport.connection_settings import ConnectionSettings


class Pool:
    """The `httpx.Client` of one process."""

    def __init__(self, settings: ConnectionSettings) -> None:
        http_clients.check(settings, httpx.Client)
        self.settings = settings
        self._client: httpx.Client | None = None
        self._closed = False
        self._stranded = False
        self._building = Lock()  # several threads may send the first request
        _POOLS.add(self)

    def client(self) -> httpx.Client:
        """Return the client. Raises `ConfigurationError` once closed."""
        client = self._client
        if client is None:
            with self._building:
                if self._closed:
                    raise _closed()
                if self._stranded:
                    raise _stranded()
                if self._client is None:
                    self._client = http_clients.new_client(self.settings)
                client = self._client
        return client

    def close(self) -> None:
        """Close the client, unless it is the user's own. Closing twice is fine."""
        with self._building:
            self._closed = True
            client, self._client = self._client, None
        if client is not None and self.settings.http_client is None:
            client.close()

    def forked(self) -> None:
        """Forget the parent's connections, without closing what it still uses."""
        if self._client is not None:
            _INHERITED.append(self._client)
            self._stranded = not self.settings.survives_fork()
        self._client = None
        self._building = Lock()


@define(eq=False)
class _LoopClient:
    """A client in the loop that it belongs to."""

    client: httpx.AsyncClient
    lifetime: AsyncGenerator[None]
    """Closing it closes the client."""
    under_way: int = 0
    """Requests."""
    retired: bool = False
    """It gets no more requests, and the last one closes it."""


class AsyncPool:
    """The `httpx.AsyncClient` of each event loop: connections belong to the loop that opened them.

    A client that outlives an `asyncio.run` gets new connections in the next.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        http_clients.check(settings, httpx.AsyncClient)
        self.settings = settings
        self._closed = False
        self._stranded = False
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self._clients: dict[object, _LoopClient] = {}

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Like `Pool.client`, for the running loop and one request.

        httpcore does not get over a request that is cancelled at the wrong moment: its place in the
        pool is never free again (https://github.com/encode/httpcore/issues/1093). So a client in
        which one was cancelled, by a deadline or from outside, gets no more requests.
        """
        entry = await self._client_of(_running())
        entry.under_way += 1
        try:
            yield entry.client
        except Exception:
            raise
        except BaseException:  # asyncio's CancelledError, trio's Cancelled
            self._retire(entry)
            raise
        finally:
            entry.under_way -= 1
            if entry.retired and not entry.under_way:
                await entry.lifetime.aclose()

    async def _client_of(self, loop: object) -> _LoopClient:
        if self._closed:
            raise _closed()
        if self._stranded:
            raise _stranded()
        entry = self._clients.get(loop)
        if entry is None:
            client = http_clients.new_async_client(self.settings)
            entry = self._clients[loop] = _LoopClient(
                client, self._until_the_loop_ends(loop, client)
            )
            await anext(entry.lifetime)
        return entry

    def _retire(self, entry: _LoopClient) -> None:
        if not self.settings.renewable():
            return
        for loop, each in list(self._clients.items()):
            if each is entry:
                del self._clients[loop]
        entry.retired = True

    async def _until_the_loop_ends(
        self, loop: object, client: httpx.AsyncClient
    ) -> AsyncGenerator[None]:
        # asyncio.run and trio close the asynchronous generators that began in them at their end,
        # when connections can still be closed. Afterwards it is too late.
        try:
            yield
        finally:
            if (entry := self._clients.get(loop)) and entry.client is client:
                del self._clients[loop]
            if self.settings.http_client is None:
                await client.aclose()

    async def close(self) -> None:
        """Like `Pool.close`, awaited, in the running loop."""
        self._closed = True
        if entry := self._clients.get(_running()):
            await entry.lifetime.aclose()

    def forked(self) -> None:
        """Like `Pool.forked`."""
        if self._clients:
            _INHERITED.append(self._clients)
            self._stranded = not self.settings.survives_fork()
        self._reset()


def _running() -> object:
    """Return what stands for the running event loop."""
    import asyncio  # noqa: PLC0415 - 40 modules, and a client that is not awaited needs none of them

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return get_ident()  # trio has no loop to name, and runs once in a thread at a time


def _closed() -> ConfigurationError:
    return ConfigurationError("This client was closed. Make a new one, or close it later.")


def _stranded() -> ConfigurationError:
    return ConfigurationError(
        "This client sends through an http_client or transport of yours, whose connections belong "
        "to the process that this one was forked from. Make the client where it is used."
    )


_POOLS: weakref.WeakSet[Pool | AsyncPool] = weakref.WeakSet()
_INHERITED: list[object] = []  # never collected: that would close the parent's connections


def _after_in_child() -> None:
    for pool in list(_POOLS):
        pool.forked()


# A hook, because a process id that is compared in every call costs each call; a weak set, because
# a hook cannot be removed and would keep every client that was ever made.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
