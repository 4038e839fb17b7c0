"""pyreqwest's clients for `transport="fast"`: connection settings, and time limits.

Only `http_clients` and `transport` import this, when they need it.
"""

from __future__ import annotations

import math
import os
import re
import ssl
import time
from collections import OrderedDict
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import certifi
import httpx
from attrs import frozen

from evrun._transport.clock import TIME_LEFT
from evrun._transport.tls import TRUSTED
from evrun.errors import ConfigurationError

try:
    from pyreqwest.client import BaseClientBuilder, ClientBuilder, SyncClientBuilder
    from pyreqwest.exceptions import PyreqwestError
    from pyreqwest.proxy import ProxyBuilder
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        "transport=\"fast\" needs pyreqwest. Install it with: pip install 'evrun[fast]'"
    ) from missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyreqwest.client import Client, SyncClient

    from evrun._transport.connection_settings import ConnectionSettings

_MOST_CLIENTS: Final = 16
"""Clients with limits of their own that a transport keeps, each with its connections."""
_IDLE: Final = timedelta(seconds=5)
"""How long an unused connection is kept: as long as httpx does."""
_LONGEST: Final = 86400 * 365.0
_MARGIN: Final = 0.05
"""Seconds between two limits that must not pass in the wrong order."""
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.\d+", re.ASCII)
"""The files that OpenSSL reads in a folder of certificates."""

B = TypeVar("B", bound=BaseClientBuilder)
C = TypeVar("C")


@frozen
class TimeLimits:
    """Time limits of one attempt, after it got its place in the pool. Seconds; None: no limit."""

    connect: float | None
    read: float | None
    """From the attempt's start to the head of the answer, and for each read of its body."""
    end: float | None
    """When all must be over, on the monotonic clock."""

    @classmethod
    def of(cls, request: httpx.Request, end: float | None) -> TimeLimits:
        """Return the limits of `request`, which must be over at `end`.

        A deadline leaves a different rest to every attempt, and pyreqwest has limits per client: so
        the rest itself is a limit of the request, and a limit that it cuts is rounded.
        """
        connect, read = seconds(request, "connect"), seconds(request, "read")
        if end is None:
            return cls(connect, _after(read, connect), None)
        left = max(end - time.monotonic(), 0.001)
        # The limit to connect must pass well before the rest does: it alone knows that nothing was
        # sent, and then there is time to try again.
        if connect is None or connect > left / 2:
            connect = 2.0 ** math.floor(math.log2(left / 2))
        if read is not None and read >= left:
            read = None  # the end comes first
        return cls(connect, _after(read, connect), end)

    @property
    def rest(self) -> timedelta | None:
        """How long the attempt may still take."""
        if self.end is None:
            return None
        return timedelta(seconds=max(self.end - time.monotonic(), 0.001))


def end(request: httpx.Request) -> float | None:
    """Return when the deadline of `request` is, on the monotonic clock."""
    left = request.extensions.get(TIME_LEFT)
    return None if left is None else time.monotonic() + left


def seconds(request: httpx.Request, kind: str) -> float | None:
    """Return a time limit of httpx; None if it is longer than a year."""
    limit = request.extensions.get("timeout", {}).get(kind)
    return None if limit is None or limit > _LONGEST else float(limit)


def _after(read: float | None, connect: float | None) -> float | None:
    """Return the limit to read, not before the one to connect.

    pyreqwest counts both from the same moment. The one to read does not know whether anything was
    sent, so it has to pass later.
    """
    if read is None or connect is None:
        return read
    return max(read, connect + _MARGIN)


class Clients(Generic[C]):
    """The clients of one transport, by their limits: made when needed, the last used are kept."""

    def __init__(self, make: Callable[[float | None, float | None], C]) -> None:
        self._make = make
        self._clients: OrderedDict[tuple[float | None, float | None], C] = OrderedDict()
        self._lock = Lock()

    def get(self, limits: TimeLimits) -> C:
        """Return a client with these limits. Raises `ConfigurationError`."""
        key = limits.connect, limits.read
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._clients[key] = self._make(*key)
                if len(self._clients) > _MOST_CLIENTS:
                    # Not closed: it lives on for as long as a request is under way in it.
                    self._clients.popitem(last=False)
            else:
                self._clients.move_to_end(key)
            return client

    def pop_all(self) -> list[C]:
        """Return all clients, for closing, and forget them."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        return clients


def clients(settings: ConnectionSettings) -> Clients[SyncClient]:
    """Return the clients of a synchronous transport."""
    return Clients(
        lambda connect, read: _started(
            lambda: _configured(SyncClientBuilder(), settings, connect, read).build()
        )
    )


def async_clients(settings: ConnectionSettings) -> Clients[Client]:
    """Like `clients`, for an asynchronous one."""
    return Clients(
        lambda connect, read: _started(
            lambda: _configured(ClientBuilder(), settings, connect, read).build()
        )
    )


def _started(start: Callable[[], C]) -> C:
    try:
        return start()
    except (PyreqwestError, ValueError) as error:
        # Its last cause says what is wrong: "No CA certificates were loaded from the system".
        causes = (getattr(error, "details", None) or {}).get("causes") or [{"message": str(error)}]
        raise ConfigurationError(
            f'transport="fast": pyreqwest cannot start: {causes[-1]["message"]}.'
        ) from error
    except RuntimeError as error:
        if "fork" not in str(error):
            raise ConfigurationError(
                f'transport="fast": pyreqwest cannot start: {error}'
            ) from error
        # It runs in threads of its own, which a forked child does not have.
        raise ConfigurationError(
            'transport="fast" does not work in a forked process if it was used before the fork. '
            'Start processes with multiprocessing\'s "spawn", or leave transport="fast" out.'
        ) from error


def check(settings: ConnectionSettings) -> None:
    """Raise `ConfigurationError` for a setting that pyreqwest does not have."""
    if isinstance(settings.verify, ssl.SSLContext):
        raise ConfigurationError(
            'verify=<SSLContext> cannot be carried over to transport="fast". Pass verify=<path of '
            'the certificates> and cert=…, or leave transport="fast" out.'
        )
    if isinstance(settings.proxy, httpx.Proxy) and settings.proxy.ssl_context is not None:
        raise ConfigurationError(
            'proxy=<Proxy with an ssl_context> cannot be carried over to transport="fast". Leave '
            "one of them out."
        )
    if not settings.trust_env and (names := [name for name in TRUSTED if name in os.environ]):
        raise ConfigurationError(
            f'trust_env=False: transport="fast" follows {names[0]} all the same. Unset it, or '
            'leave transport="fast" out.'
        )


def _configured(
    builder: B, settings: ConnectionSettings, connect: float | None, read: float | None
) -> B:
    builder = (
        builder.follow_redirects(enable=False)
        .referer(enable=False)
        .default_cookie_store(enable=False)
        # httpx unpacks answers, and its errors tell a broken answer from a broken connection.
        .gzip(enable=False)
        .brotli(enable=False)
        .deflate(enable=False)
        .zstd(enable=False)
        .http2(enable=False)
        .pool_max_idle_per_host(settings.concurrency)
        .pool_idle_timeout(_IDLE)
    )
    if connect is not None:
        builder = builder.connect_timeout(timedelta(seconds=connect))
    if read is not None:
        builder = builder.read_timeout(timedelta(seconds=read))
    return _trusting(_proxied(builder, settings), settings)


def _proxied(builder: B, settings: ConnectionSettings) -> B:
    if settings.via is None:
        return builder.no_proxy()  # the environment has been read
    proxy = settings.via.proxy
    made = ProxyBuilder.all(str(proxy.url)).headers(proxy.headers.multi_items())
    return builder.proxy(made if proxy.auth is None else made.basic_auth(*proxy.auth))


def _trusting(builder: B, settings: ConnectionSettings) -> B:
    """Return the builder with the certificates to trust and to show.

    pyreqwest trusts the system's besides, or those of SSL_CERT_FILE and SSL_CERT_DIR instead.
    """
    verify, cert = settings.verify, settings.cert
    named = any(name in os.environ for name in TRUSTED)
    if isinstance(verify, str) or cert is not None or named:
        settings.tls_context()  # it says what is wrong with a file: pyreqwest takes an empty one
    if verify is False:
        builder = builder.danger_accept_invalid_certs(enable=True)
    elif isinstance(verify, str):
        for path in _certificate_files(Path(verify)):
            builder = builder.add_root_certificate_pem(path.read_bytes())
    elif not named:
        # httpx's own, because a slim container has none.
        builder = builder.add_root_certificate_pem(Path(certifi.where()).read_bytes())
    if cert is not None:
        files = (cert,) if isinstance(cert, str) else cert
        builder = builder.identity_pem(b"\n".join(Path(name).read_bytes() for name in files))
    return builder


def _certificate_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if _HASHED.fullmatch(file.name))
