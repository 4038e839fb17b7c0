"""The `httpx.Client` that sends a client's requests.

It is a client of httpx, not a bare transport: httpx reads proxies, `verify` and limits in its
client, and silently ignores them if it is given a transport.
"""

# ruff: noqa: PLC0415 - pyreqwest is an optional extra

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from evrun._transport.short_repr import short_repr
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from evrun._transport.connection_settings import ConnectionSettings


def check(settings: ConnectionSettings, kind: type[httpx.Client | httpx.AsyncClient]) -> None:
    """Raise `ConfigurationError` if no client of `kind` can be made from `settings`."""
    http_client, transport = settings.http_client, settings.transport
    if http_client is not None and not isinstance(http_client, kind):
        raise ConfigurationError(
            f"http_client={short_repr(http_client)}: {_other(http_client, kind)}"
            f"pass an httpx.{kind.__name__}."
        )
    wanted = httpx.BaseTransport if kind is httpx.Client else httpx.AsyncBaseTransport
    if settings.has_own_transport() and not isinstance(transport, wanted):
        raise ConfigurationError(
            f"transport={short_repr(transport)}: {_other(transport, kind)}"
            f'pass an httpx.{wanted.__name__}, or "fast".'
        )
    if transport == "fast":
        from evrun._transport.pyreqwest.clients import check

        check(settings)


def new_client(settings: ConnectionSettings) -> httpx.Client:
    """Return a new client, or the user's own."""
    if settings.http_client is not None:
        assert isinstance(settings.http_client, httpx.Client)  # noqa: S101 - `check` did
        return settings.http_client
    if settings.transport == "fast":
        from evrun._transport.pyreqwest.transport import FastTransport

        return httpx.Client(transport=FastTransport(settings), trust_env=False)
    if settings.transport is not None:
        return httpx.Client(transport=settings.transport, trust_env=False)  # type: ignore[arg-type]
    proxy = None if settings.via is None else settings.via.proxy
    return httpx.Client(
        proxy=proxy, verify=settings.tls_context(), trust_env=False, limits=settings.limits()
    )


def new_async_client(settings: ConnectionSettings) -> httpx.AsyncClient:
    """Like `new_client`, for an `AsyncEvrun`."""
    if settings.http_client is not None:
        assert isinstance(settings.http_client, httpx.AsyncClient)  # noqa: S101 - `check` did
        return settings.http_client
    if settings.transport == "fast":
        from evrun._transport.pyreqwest.transport import AsyncFastTransport

        return httpx.AsyncClient(transport=AsyncFastTransport(settings), trust_env=False)
    if settings.transport is not None:
        return httpx.AsyncClient(transport=settings.transport, trust_env=False)  # type: ignore[arg-type]
    proxy = None if settings.via is None else settings.via.proxy
    return httpx.AsyncClient(
        proxy=proxy, verify=settings.tls_context(), trust_env=False, limits=settings.limits()
    )


def _other(sender: object, kind: type[httpx.Client | httpx.AsyncClient]) -> str:
    """Return what to use instead if it belongs to the other one of `Evrun` and `AsyncEvrun`."""
    if kind is httpx.Client and isinstance(sender, httpx.AsyncClient | httpx.AsyncBaseTransport):
        return "use AsyncEvrun, or "
    if kind is httpx.AsyncClient and isinstance(sender, httpx.Client | httpx.BaseTransport):
        return "use Evrun, or "
    return ""
