"""How requests reach the wire: the httpx client inside a client, and the pool that builds it late.

A client of httpx, and not a bare transport, because httpx reads proxies, `verify` and limits in its
client, and drops them in silence when it is given a transport.

A pool builds its client at the first request: not before, because a TLS context costs more than all
of `import httpx`; and anew in a forked child, because two processes on one connection garble it.
"""

from __future__ import annotations

import os
import ssl
import weakref
from functools import lru_cache
from pathlib import Path
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Literal

import httpx
from attrs import fields, frozen

from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from evrun.middleware import AsyncMiddleware, Middleware

DEFAULT_CONCURRENCY = 100
"""Requests at a time."""


@frozen(kw_only=True)
class Connection:
    """What a client's connections are made of. Arguments have the same meaning as for httpx."""

    concurrency: int = DEFAULT_CONCURRENCY
    proxy: str | httpx.Proxy | None = None
    verify: bool | str | ssl.SSLContext = True
    cert: str | tuple[str, str] | None = None
    trust_env: bool = True
    transport: Literal["fast"] | httpx.BaseTransport | httpx.AsyncBaseTransport | None = None
    http_client: httpx.Client | httpx.AsyncClient | None = None
    middleware: Sequence[Middleware] | Sequence[AsyncMiddleware] = ()

    def __attrs_post_init__(self) -> None:
        """Refuse what would be dropped in silence. Raises `ConfigurationError`."""
        if isinstance(self.concurrency, bool) or not self.concurrency >= 1:
            raise ConfigurationError(
                f"concurrency={self.concurrency!r} is no whole number from 1 up."
            )
        taken = "http_client" if self.http_client is not None else "transport"
        given = [name for name in ("proxy", "verify", "cert") if self._changed(name)]
        if self.http_client is not None:
            given += [
                name for name in ("transport", "trust_env", "concurrency") if self._changed(name)
            ]
        elif self.transport is None or self.transport == "fast":
            return
        if given:
            raise ConfigurationError(
                f"{given[0]}=… has no effect beside {taken}=…: set it up in the {taken} itself."
            )

    def _changed(self, name: str) -> bool:
        return bool(getattr(self, name) != getattr(fields(Connection), name).default)

    def check_sendable(self) -> None:
        """Raise `ConfigurationError` if there is something that cannot go to another process."""
        for name in ("http_client", "transport", "verify", "middleware"):
            value = getattr(self, name)
            if self._changed(name) and not isinstance(value, str | bool):
                raise ConfigurationError(
                    f"A client with {name}=… cannot be pickled: connections, contexts and "
                    "functions stay in their process. Make the client where it is used."
                )

    def client(self) -> httpx.Client:
        """Return a new client, or the user's own."""
        if self.http_client is not None:
            assert isinstance(self.http_client, httpx.Client)  # noqa: S101 - `Evrun` checked it
            return self.http_client
        if self.transport == "fast":
            from evrun._fast import transport  # noqa: PLC0415 - an optional extra

            return httpx.Client(transport=transport(self), trust_env=self.trust_env)
        if self.transport is not None:
            return httpx.Client(transport=self.transport, trust_env=self.trust_env)  # type: ignore[arg-type]
        return httpx.Client(
            proxy=self.proxy, verify=self.tls(), trust_env=self.trust_env, limits=self.limits()
        )

    def async_client(self) -> httpx.AsyncClient:
        """Like `client`, for an `AsyncEvrun`."""
        if self.http_client is not None:
            assert isinstance(self.http_client, httpx.AsyncClient)  # noqa: S101 - checked as above
            return self.http_client
        if self.transport == "fast":
            from evrun._fast import async_transport  # noqa: PLC0415 - an optional extra

            return httpx.AsyncClient(transport=async_transport(self), trust_env=self.trust_env)
        if self.transport is not None:
            return httpx.AsyncClient(transport=self.transport, trust_env=self.trust_env)  # type: ignore[arg-type]
        return httpx.AsyncClient(
            proxy=self.proxy, verify=self.tls(), trust_env=self.trust_env, limits=self.limits()
        )

    def limits(self) -> httpx.Limits:
        """Return a pool of as many connections as requests are asked for at a time, all kept."""
        return httpx.Limits(
            max_connections=self.concurrency, max_keepalive_connections=self.concurrency
        )

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context; clients with the same settings share one."""
        if isinstance(self.verify, ssl.SSLContext):
            context = self.verify
            if self.cert is not None:
                raise ConfigurationError(
                    "cert=… beside verify=<SSLContext>: call its load_cert_chain(…) instead."
                )
            return context
        names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
        trusted = tuple(os.environ.get(name) for name in names) if self.trust_env else ()
        return _tls(self.verify, self.cert, trusted)


@lru_cache(maxsize=16)
def _tls(
    verify: bool | str,  # noqa: FBT001 - httpx's own argument
    cert: str | tuple[str, str] | None,
    trusted: tuple[str | None, ...],
) -> ssl.SSLContext:
    """Return a context. `trusted` holds what it depends on besides: the environment's certificates.

    httpx's own `verify=<str>` and `cert=` are deprecated; these are what it says to do instead.
    """
    try:
        if isinstance(verify, str):
            folder = Path(verify).is_dir()
            context = ssl.create_default_context(
                capath=verify if folder else None, cafile=None if folder else verify
            )
        else:
            context = httpx.create_ssl_context(verify=verify, trust_env=bool(trusted))
        if cert is not None:
            context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    except OSError as error:
        raise ConfigurationError(
            f"verify={verify!r}, cert={cert!r}: cannot be loaded ({error}). verify is a file or "
            "folder of certificates in PEM form; cert is a PEM file with the key, or a pair."
        ) from error
    return context


class Pool:
    """The `httpx.Client` of one process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._client: httpx.Client | None = None
        self._closed = False
        self._building = Lock()  # several threads may send the first request
        _POOLS.add(self)

    def client(self) -> httpx.Client:
        """Return the client. Raises `ConfigurationError` once closed."""
        client = self._client
        if client is None:
            with self._building:
                if self._closed:
                    raise _closed()
                if self._client is None:
                    self._client = self.connection.client()
                client = self._client
        return client

    def close(self) -> None:
        """Close the client, unless it is the user's own. Closing twice is fine."""
        with self._building:
            self._closed = True
            client, self._client = self._client, None
        if client is not None and self.connection.http_client is None:
            client.close()

    def forked(self) -> None:
        """Forget the parent's connections, without closing what it still uses."""
        _INHERITED.append(self._client)
        self._client = None
        self._building = Lock()


class AsyncPool:
    """The `httpx.AsyncClient` of each event loop: connections belong to the loop that opened them.

    A client that outlives an `asyncio.run` gets new connections in the next.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._closed = False
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self._kept: dict[object, tuple[httpx.AsyncClient, AsyncGenerator[None]]] = {}

    async def client(self) -> httpx.AsyncClient:
        """Like `Pool.client`, for the running loop."""
        if self._closed:
            raise _closed()
        loop = _running()
        kept = self._kept.get(loop)
        if kept is None:
            client = self.connection.async_client()
            life = self._until_the_loop_ends(loop, client)
            kept = self._kept[loop] = client, life
            await anext(life)
        return kept[0]

    async def _until_the_loop_ends(
        self, loop: object, client: httpx.AsyncClient
    ) -> AsyncGenerator[None]:
        # asyncio.run and trio close the asynchronous generators that began in them at their end,
        # when connections can still be closed. Afterwards it is too late.
        try:
            yield
        finally:
            self._kept.pop(loop, None)
            if self.connection.http_client is None:
                await client.aclose()

    async def close(self) -> None:
        """Like `Pool.close`, awaited, in the running loop."""
        self._closed = True
        if kept := self._kept.get(_running()):
            await kept[1].aclose()

    def forked(self) -> None:
        """Like `Pool.forked`."""
        _INHERITED.append(self._kept)
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


_POOLS: weakref.WeakSet[Pool | AsyncPool] = weakref.WeakSet()
_INHERITED: list[object] = []  # kept, because collecting them closes what the parent still uses


def _after_in_child() -> None:
    for pool in list(_POOLS):
        pool.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
