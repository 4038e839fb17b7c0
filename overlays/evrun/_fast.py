"""`transport="fast"`: pyreqwest below httpx, through its own transport for httpx.

Only `_connection` imports this, when it is asked for: pyreqwest is an optional extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.errors import ConfigurationError

try:
    from pyreqwest.client import ClientBuilder, SyncClientBuilder
    from pyreqwest.compatibility.httpx import HttpxTransport, SyncHttpxTransport
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        "transport=\"fast\" needs pyreqwest. Install it with: pip install 'evrun[fast]'"
    ) from missing

if TYPE_CHECKING:
    import httpx

    from evrun._connection import Connection


def transport(connection: Connection) -> httpx.BaseTransport:
    """Return a transport for an `httpx.Client`."""
    builder = SyncClientBuilder().follow_redirects(enable=False)
    return SyncHttpxTransport(builder.max_connections(connection.concurrency).build())


def async_transport(connection: Connection) -> httpx.AsyncBaseTransport:
    """Like `transport`, for an `httpx.AsyncClient`."""
    builder = ClientBuilder().follow_redirects(enable=False)
    return HttpxTransport(builder.max_connections(connection.concurrency).build())
