"""The settings from which a client's connections are made. Nothing here connects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import httpx
from attrs import evolve, field, fields, frozen

from evrun._transport import proxies, tls
from evrun._transport.short_repr import short_repr
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from evrun._transport.proxies import Via
    from evrun.middleware import AsyncMiddleware, Middleware

DEFAULT_CONCURRENCY: Final = 100
"""Requests at a time."""
_MOST: Final = 100_000
"""Connections: more than the files that a process may have open."""


@frozen(kw_only=True)
class ConnectionSettings:
    """How a client connects. Arguments have the same meaning as for httpx."""

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
        tls.check(self.verify, self.cert)
        _check_trust_env(self.trust_env)
        _check_middleware(self.middleware)
        if self.proxy is not None:
            proxies.read(self.proxy, "proxy")
        taken: str | None = None
        dropped = ["proxy", "verify", "cert", "trust_env", "concurrency"]
        if self.http_client is not None:
            taken = "http_client"
            dropped.insert(0, "transport")
        elif self.has_own_transport():
            taken = "transport"
        for name in dropped:
            if taken and self._changed(name):
                raise ConfigurationError(
                    f"{name}=… has no effect beside {taken}=…: set it up in the {taken} itself."
                )
        if isinstance(self.transport, str) and self.transport != "fast":
            raise ConfigurationError(
                f'transport={short_repr(self.transport)}: expected "fast" or a transport of httpx.'
            )

    def has_own_transport(self) -> bool:
        """Whether the user brought a transport of httpx."""
        return not (self.transport is None or isinstance(self.transport, str))

    def _changed(self, name: str) -> bool:
        return bool(getattr(self, name) != getattr(fields(ConnectionSettings), name).default)

    def towards(self, url: str) -> ConnectionSettings:
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
            tls.check_environment()
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
        return self.http_client is None and not self.has_own_transport()

    def limits(self) -> httpx.Limits:
        """Return a pool of as many connections as requests are asked for at a time, all kept."""
        return httpx.Limits(
            max_connections=self.concurrency, max_keepalive_connections=self.concurrency
        )

    def tls_context(self) -> ssl.SSLContext:
        """Return the TLS context; clients with the same settings share one."""
        return tls.context(self.verify, self.cert, trust_env=self.trust_env)


def _check_concurrency(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise ConfigurationError(
            f"concurrency={short_repr(value)}: expected a whole number from 1 to {_MOST:,}."
        )


def _check_trust_env(value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"trust_env={short_repr(value)}: expected True or False.")


def _check_middleware(given: object) -> None:
    if not isinstance(given, Sequence) or not all(map(callable, given)):
        raise ConfigurationError(f"middleware={short_repr(given)}: expected a list of functions.")
