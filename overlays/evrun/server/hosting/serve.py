"""The application on a socket, with its limits: `evrun serve` without the command line.

`serve` runs the server until a signal stops it. `build` makes the same server for callers that stop
it in another way, as `evrun.testing` does.

After SIGTERM or SIGINT, `/readyz` and new requests get 503, and running requests finish. Then the
server closes all connections, and `serve` returns. A second SIGINT ends the wait for running
requests. Each worker does the same. If a thread still waits for a database that hangs, the process
exits without it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen
from uvicorn import Server
from uvicorn.config import LOGGING_CONFIG

from evrun._base.headers import CAPABILITIES
from evrun.server.api.access_log import AccessLog, AccessMiddleware
from evrun.server.api.app import (
    ANNOUNCED,
    connection_limit_reached,
    create_app,
    with_response_headers,
)
from evrun.server.api.faults import Faults
from evrun.server.api.lifecycle import Lifecycle
from evrun.server.api.limits import BODY_LIMIT
from evrun.server.api.metrics import Metrics
from evrun.server.db.database import Database
from evrun.server.hosting.protocol import ConnectionLimits, GuardedConfig
from evrun.server.hosting.signals import stop_signals
from evrun.server.hosting.supervisor import supervise

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from evrun.server.api.access_log import AccessRecord
    from evrun.server.api.faults import Schedule
    from evrun.server.api.limits import Rate

DRAIN_TIMEOUT = 30.0
"""Seconds that running requests have when the server stops."""
CLOSE_TIMEOUT = 5.0
"""Seconds after that for closing the database; then the process exits without it."""

_LOGGER = logging.getLogger("uvicorn.error")


@frozen(kw_only=True)
class Settings:
    """The settings of a server, except its database and its socket."""

    workers: int = 1
    """Processes. More than one need PostgreSQL."""
    limits: ConnectionLimits = field(factory=ConnectionLimits)
    body_limit: int = BODY_LIMIT
    rate: Rate | None = None
    """For each key, in each process."""
    access_log: Literal["json", "text", "off"] = "text"
    drain_timeout: float = DRAIN_TIMEOUT
    """Seconds."""
    certificate: str | None = None
    """A PEM file; without it the server speaks plain HTTP."""
    private_key: str | None = None
    """A PEM file; without it the key is read from the certificate's file."""
    faults: Schedule | None = None
    """Requests fail as it says. It needs `workers=1`, which count together."""

    @property
    def tls(self) -> bool:
        """Whether the server speaks HTTPS."""
        return self.certificate is not None


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. Raises `OSError`, `UnicodeError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Looked up here, because `create_server` does not distinguish this failure from others.
    (*_, address), *_ = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM)
    listener = socket.create_server(address, family=family, backlog=2048)
    # An answer leaves in two writes. Nagle's algorithm would hold the second until the client
    # acknowledges the first, which it delays: 44 ms a request, measured, instead of 2. asyncio
    # turns it off only for sockets that it makes itself. Connections inherit this option.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(database: Database, listener: socket.socket, settings: Settings) -> None:
    """Serve until a signal comes, then drain, and close the database.

    Raises `OSError` for an unusable certificate.
    """
    _run(_server(database, settings), listener)


def serve_with_workers(database_url: str, listener: socket.socket, settings: Settings) -> None:
    """Like `serve`, in several processes, each with its database, lifecycle and metrics."""
    _server(Database(database_url), settings)  # An unusable certificate is raised here, once.
    supervise(settings.workers, partial(_work, database_url, listener, settings))


def _work(
    database_url: str, listener: socket.socket, settings: Settings, ready: Callable[[], None]
) -> None:
    """Be one of several workers."""
    _run(_server(Database(database_url), settings, ready), listener)


def _run(server: DrainingServer, listener: socket.socket) -> None:
    # uvicorn has handlers of its own, but only while it serves, and raises the signal again
    # afterwards: the process would end by it. With these it ends with 0, and a signal that comes
    # earlier stops the server as soon as it has started.
    with stop_signals(server.handle_exit):
        server.run(sockets=[listener])
    server.ended.set()


def _server(
    database: Database, settings: Settings, ready: Callable[[], None] | None = None
) -> DrainingServer:
    faults = None if settings.faults is None else Faults(settings.faults)
    return build(database, settings, faults=faults, ready=ready, log_config=LOGGING_CONFIG)


def build(
    database: Database,
    settings: Settings,
    *,
    faults: Faults | None = None,
    local_key: str | None = None,
    ready: Callable[[], None] | None = None,
    log_config: dict[str, Any] | None = None,
) -> DrainingServer:
    """Return a server over `database`, which it opens and closes. Raises like `serve`.

    - `faults` decides which requests fail on purpose; `settings.faults` is not read.
    - `local_key` is accepted besides the stored keys.
    - `ready` is called when the server takes requests.
    - `log_config` is uvicorn's; without it, logging stays as it is.
    """
    lifecycle, metrics = Lifecycle(), Metrics()
    receivers: list[Callable[[AccessRecord], None]] = [metrics]
    if settings.access_log != "off":
        receivers.append(AccessLog(settings.access_log))

    def record(access: AccessRecord) -> None:
        for receiver in receivers:
            receiver(access)

    app = create_app(
        database,
        local_key=local_key,
        body_limit=settings.body_limit,
        body_timeout=settings.limits.body_timeout,
        rate=settings.rate,
        lifecycle=lifecycle,
        metrics=metrics,
        faults=faults,
    )
    config = GuardedConfig(
        AccessMiddleware(app, record),
        limits=settings.limits,
        over_limit=AccessMiddleware(with_response_headers(connection_limit_reached), record),
        headers=[(CAPABILITIES, ANNOUNCED)],
        record=record,
        closes_on_purpose=faults is not None,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.private_key,
        log_config=log_config,
    )
    config.load()
    server = DrainingServer(config, lifecycle, settings.drain_timeout, ready)
    metrics.connections.set_function(lambda: len(server.server_state.connections))
    return server


class DrainingServer(Server):
    """uvicorn's server, which answers 503 to new requests while running ones finish."""

    def __init__(
        self,
        config: GuardedConfig,
        lifecycle: Lifecycle,
        drain_timeout: float,
        ready: Callable[[], None] | None = None,
    ) -> None:
        """Take uvicorn's configuration, and more.

        - `drain_timeout`: seconds that running requests have.
        - `ready` is called when the server takes requests.
        """
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain_timeout = drain_timeout
        self._ready = ready
        self.ended = threading.Event()
        """Set when the server has ended, and the process can exit by itself."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the database, listen, and call `ready`."""
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain."""
        self._lifecycle.draining = True
        first, forced = not self.should_exit, self.force_exit
        super().handle_exit(sig, frame)
        if first:
            self._exit_within(self._drain_timeout + CLOSE_TIMEOUT)
        elif self.force_exit and not forced:
            self._exit_within(CLOSE_TIMEOUT)

    def _exit_within(self, seconds: float) -> None:
        """Exit the process if the server has not ended by then.

        Python waits for threads, and a thread may wait for a database that hangs. Nothing is lost:
        clients with a change under way were told that it may be stored or not.
        """

        def end() -> None:
            if not self.ended.wait(seconds):
                _LOGGER.error(
                    "The database does not answer what is under way; the server ends without it."
                )
                os._exit(0)

        threading.Thread(target=end, name="evrun-end", daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Go on listening until running requests are done, so that new ones get 503."""
        self._lifecycle.draining = True
        deadline = asyncio.get_running_loop().time() + self._drain_timeout
        while self.server_state.tasks and not self.force_exit:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.02)
        # The rest of the time: uvicorn would start its own timeout, and 0 means for ever to it.
        left = deadline - asyncio.get_running_loop().time()
        self.config.timeout_graceful_shutdown = max(1, round(left))
        await super().shutdown(sockets)
