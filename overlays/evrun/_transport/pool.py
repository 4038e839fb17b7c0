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
from collections.abc import Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Literal

import httpx
from attrs import define, evolve, field, fields, frozen

from evrun._transport import proxies
from evrun._transport.settings import is_path
from evrun._transport.shown import shown
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from evrun._transport.proxies import Via
    from evrun.middleware import AsyncMiddleware, Middleware

DEFAULT_CONCURRENCY = 100
"""Requests at a time."""
_MOST = 100_000
"""Connections: more than a process may have files open."""

TRUSTED = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables that say whom to trust."""


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

    embedded: bool = False
    """The transport is the embedded server's, which minds forks itself."""
    via: Via | None = field(default=None, eq=False)
    """The proxy on the way, if there is one: see `towards`."""

    def __attrs_post_init__(self) -> None:
        """Refuse what is unusable, or would be dropped. Raises `ConfigurationError`."""
        _check_concurrency(self.concurrency)
        _check_tls(self.verify, self.cert)
        _check_trust_env(self.trust_env)
        _check_middleware(self.middleware)
        if self.proxy is not None:
            proxies.read(self.proxy, "proxy")
        taken: str | None = None
        dropped = ["proxy", "verify", "cert", "trust_env", "concurrency"]
        if self.http_client is not None:
            taken = "http_client"
            dropped.insert(0, "transport")
        elif self._has_own_transport():
            taken = "transport"
        for name in dropped:
            if taken and self._changed(name):
                raise ConfigurationError(
                    f"{name}=… has no effect beside {taken}=…: set it up in the {taken} itself."
                )
        if isinstance(self.transport, str):
            self._check_fast()

    def _has_own_transport(self) -> bool:
        return not (self.transport is None or isinstance(self.transport, str))

    def check_sender(self, kind: type[httpx.Client | httpx.AsyncClient]) -> None:
        """Refuse what cannot send for clients of `kind`. Raises `ConfigurationError`."""
        http_client, transport = self.http_client, self.transport
        if http_client is not None and not isinstance(http_client, kind):
            raise ConfigurationError(
                f"http_client={shown(http_client)}: {_other(http_client, kind)}"
                f"pass an httpx.{kind.__name__}."
            )
        wanted = httpx.BaseTransport if kind is httpx.Client else httpx.AsyncBaseTransport
        if self._has_own_transport() and not isinstance(transport, wanted):
            raise ConfigurationError(
                f"transport={shown(transport)}: {_other(transport, kind)}"
                f'pass an httpx.{wanted.__name__}, or "fast".'
            )

    def _check_fast(self) -> None:
        if self.transport != "fast":
            raise ConfigurationError(
                f'transport={shown(self.transport)}: expected "fast" or a transport of httpx.'
            )
        from evrun._transport.pyreqwest.clients import check  # noqa: PLC0415 - an optional extra

        check(self)

    def _changed(self, name: str) -> bool:
        return bool(getattr(self, name) != getattr(fields(Connection), name).default)

    def towards(self, url: str) -> Connection:
        """Return what connects to `url`: with its proxy. Raises `ConfigurationError`.

        It reads the environment, unless somebody else's transport does.
        """
        if not self.renewable():
            return self
        via = None
        if self.proxy is not None:
            via = proxies.Via(proxies.read(self.proxy, "proxy"), proxies.ARGUMENT)
        elif self.trust_env:
            via = proxies.from_environment(url)
        if via is not None and self.transport != "fast":
            via.check_httpx()
        if self.trust_env and self.verify is True:
            _check_trusted()
        return evolve(self, via=via)

    def check_sendable(self) -> None:
        """Raise `ConfigurationError` if there is something that cannot go to another process."""
        for name in ("http_client", "transport", "verify", "middleware"):
            value = getattr(self, name)
            if self._changed(name) and not isinstance(value, str | bool):
                raise ConfigurationError(
                    f"A client with {name}=… cannot be pickled or copied: connections, contexts "
                    "and functions stay in their process. Make the client where it is used."
                )
        if isinstance(self.proxy, httpx.Proxy) and self.proxy.ssl_context is not None:
            raise ConfigurationError(
                "A client whose proxy has an ssl_context cannot be pickled or copied: make the "
                "client where it is used."
            )

    def survives_fork(self) -> bool:
        """Whether connections can be made anew: not those that somebody else opens."""
        return self.embedded or self.renewable()

    def renewable(self) -> bool:
        """Whether a new client has new connections, and closing the old one closes the old."""
        return self.http_client is None and not self._has_own_transport()

    def client(self) -> httpx.Client:
        """Return a new client, or the user's own."""
        if self.http_client is not None:
            assert isinstance(self.http_client, httpx.Client)  # noqa: S101 - `Evrun` checked it
            return self.http_client
        if self.transport == "fast":
            from evrun._transport.pyreqwest.transport import FastTransport  # noqa: PLC0415 - an optional extra

            return httpx.Client(transport=FastTransport(self), trust_env=False)
        if self.transport is not None:
            return httpx.Client(transport=self.transport, trust_env=False)  # type: ignore[arg-type]
        proxy = None if self.via is None else self.via.proxy
        return httpx.Client(proxy=proxy, verify=self.tls(), trust_env=False, limits=self.limits())

    def async_client(self) -> httpx.AsyncClient:
        """Like `client`, for an `AsyncEvrun`."""
        if self.http_client is not None:
            assert isinstance(self.http_client, httpx.AsyncClient)  # noqa: S101 - checked as above
            return self.http_client
        if self.transport == "fast":
            from evrun._transport.pyreqwest.transport import AsyncFastTransport  # noqa: PLC0415 - an optional extra

            return httpx.AsyncClient(transport=AsyncFastTransport(self), trust_env=False)
        if self.transport is not None:
            return httpx.AsyncClient(transport=self.transport, trust_env=False)  # type: ignore[arg-type]
        proxy = None if self.via is None else self.via.proxy
        return httpx.AsyncClient(
            proxy=proxy, verify=self.tls(), trust_env=False, limits=self.limits()
        )

    def limits(self) -> httpx.Limits:
        """Return a pool of as many connections as requests are asked for at a time, all kept."""
        return httpx.Limits(
            max_connections=self.concurrency, max_keepalive_connections=self.concurrency
        )

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context; clients with the same settings share one."""
        if isinstance(self.verify, ssl.SSLContext):
            return self.verify
        trusted = tuple(map(os.environ.get, TRUSTED)) if self.trust_env else ()
        pair = (self.cert,) if isinstance(self.cert, str) else self.cert or ()
        files = (self.verify if isinstance(self.verify, str) else None, *pair, *trusted)
        return _tls(self.verify, self.cert, trusted, tuple(map(_changed_at, files)))


def _other(sender: object, kind: type[httpx.Client | httpx.AsyncClient]) -> str:
    """Return the way out for who took the wrong one of `Evrun` and `AsyncEvrun`."""
    if kind is httpx.Client and isinstance(sender, httpx.AsyncClient | httpx.AsyncBaseTransport):
        return "use AsyncEvrun, or "
    if kind is httpx.AsyncClient and isinstance(sender, httpx.Client | httpx.BaseTransport):
        return "use Evrun, or "
    return ""


def _check_concurrency(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise ConfigurationError(
            f"concurrency={shown(value)}: expected a whole number from 1 to {_MOST:,}."
        )


def _check_trust_env(value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"trust_env={shown(value)}: expected True or False.")


def _check_middleware(given: object) -> None:
    if not isinstance(given, Sequence) or not all(map(callable, given)):
        raise ConfigurationError(f"middleware={shown(given)}: expected a list of functions.")


def _check_tls(verify: object, cert: object) -> None:
    if not (isinstance(verify, bool | ssl.SSLContext) or _is_text_path(verify)):
        raise ConfigurationError(
            f"verify={shown(verify)}: expected a bool, a path as a str, or an ssl.SSLContext."
        )
    pair = cert if isinstance(cert, tuple) and len(cert) == 2 else (cert,)  # noqa: PLR2004
    if cert is not None and not all(map(_is_text_path, pair)):
        raise ConfigurationError(
            "cert: expected a path as a str, or a pair of them (certificate, key). If the key has "
            "a password, load both into an ssl.SSLContext, and pass that as verify=…."
        )
    if cert is not None and isinstance(verify, ssl.SSLContext):
        raise ConfigurationError(
            "cert=… has no effect beside verify=<SSLContext>: call its load_cert_chain(…) instead."
        )


def _is_text_path(value: object) -> bool:
    return isinstance(value, str) and is_path(value)


def _check_trusted() -> None:
    """Refuse what cannot be what the variable says: OpenSSL passes over a folder that is none."""
    file, folder = map(os.environ.get, TRUSTED)
    if file and not Path(file).is_file():
        raise ConfigurationError(
            f"SSL_CERT_FILE={file!r} is not a file. Set it to a file of certificates in PEM form, "
            "or unset it."
        )
    if folder and not file and not any(Path(each).is_dir() for each in folder.split(os.pathsep)):
        raise ConfigurationError(
            f"SSL_CERT_DIR={folder!r} is not a folder. Set it to a folder of certificates that "
            "`openssl rehash` was run in, or unset it."
        )


@lru_cache(maxsize=16)
def _tls(
    verify: bool | str,  # noqa: FBT001 - httpx's own argument
    cert: str | tuple[str, str] | None,
    trusted: tuple[str | None, ...],
    _changed: tuple[int | None, ...],
) -> ssl.SSLContext:
    """Return a context. `trusted` holds what it depends on besides: the environment's certificates.

    `_changed` is there to tell renewed files, which a long-lived process meets, from the old ones.
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
        settings = {"verify": verify if isinstance(verify, str) else None, "cert": cert}
        if verify is True:
            settings |= dict(zip(TRUSTED, trusted, strict=False))
        named = [f"{name}={value!r}" for name, value in settings.items() if value]
        raise ConfigurationError(
            f"{', '.join(named)}: cannot be loaded ({error}). verify is a file or folder of "
            "certificates in PEM form; cert is a PEM file with the key, or a pair."
        ) from error
    return context


def _changed_at(path: str | None) -> int | None:
    try:
        return None if path is None else Path(path).stat().st_mtime_ns
    except OSError:
        return None  # loading it says what is wrong


class Pool:
    """The `httpx.Client` of one process."""

    def __init__(self, connection: Connection) -> None:
        connection.check_sender(httpx.Client)
        self.connection = connection
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
        if self._client is not None:
            _INHERITED.append(self._client)
            self._stranded = not self.connection.survives_fork()
        self._client = None
        self._building = Lock()


@define(eq=False)
class _Kept:
    """A client in the loop that it belongs to."""

    client: httpx.AsyncClient
    life: AsyncGenerator[None]
    """Closing it closes the client."""
    under_way: int = 0
    """Requests."""
    left: bool = False
    """It gets no more requests, and the last one closes it."""


class AsyncPool:
    """The `httpx.AsyncClient` of each event loop: connections belong to the loop that opened them.

    A client that outlives an `asyncio.run` gets new connections in the next.
    """

    def __init__(self, connection: Connection) -> None:
        connection.check_sender(httpx.AsyncClient)
        self.connection = connection
        self._closed = False
        self._stranded = False
        self._reset()
        _POOLS.add(self)

    def _reset(self) -> None:
        self._kept: dict[object, _Kept] = {}

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Like `Pool.client`, for the running loop and one request.

        httpcore does not get over a request that is cancelled at the wrong moment: its place in the
        pool is never free again (https://github.com/encode/httpcore/issues/1093). So a client in
        which one was cancelled, by a deadline or from outside, gets no more requests.
        """
        kept = await self._of(_running())
        kept.under_way += 1
        try:
            yield kept.client
        except Exception:
            raise
        except BaseException:  # asyncio's CancelledError, trio's Cancelled
            self._leave(kept)
            raise
        finally:
            kept.under_way -= 1
            if kept.left and not kept.under_way:
                await kept.life.aclose()

    async def _of(self, loop: object) -> _Kept:
        if self._closed:
            raise _closed()
        if self._stranded:
            raise _stranded()
        kept = self._kept.get(loop)
        if kept is None:
            client = self.connection.async_client()
            kept = self._kept[loop] = _Kept(client, self._until_the_loop_ends(loop, client))
            await anext(kept.life)
        return kept

    def _leave(self, kept: _Kept) -> None:
        if not self.connection.renewable():
            return
        for loop, each in list(self._kept.items()):
            if each is kept:
                del self._kept[loop]
        kept.left = True

    async def _until_the_loop_ends(
        self, loop: object, client: httpx.AsyncClient
    ) -> AsyncGenerator[None]:
        # asyncio.run and trio close the asynchronous generators that began in them at their end,
        # when connections can still be closed. Afterwards it is too late.
        try:
            yield
        finally:
            if (kept := self._kept.get(loop)) and kept.client is client:
                del self._kept[loop]
            if self.connection.http_client is None:
                await client.aclose()

    async def close(self) -> None:
        """Like `Pool.close`, awaited, in the running loop."""
        self._closed = True
        if kept := self._kept.get(_running()):
            await kept.life.aclose()

    def forked(self) -> None:
        """Like `Pool.forked`."""
        if self._kept:
            _INHERITED.append(self._kept)
            self._stranded = not self.connection.survives_fork()
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
_INHERITED: list[object] = []  # kept, because collecting them closes what the parent still uses


def _after_in_child() -> None:
    for pool in list(_POOLS):
        pool.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
