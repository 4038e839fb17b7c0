"""The application on a socket, with its limits: `evrun serve` without the command line.

`serve` runs it until a signal stops it. `build` makes the same server for whoever runs and stops it
otherwise, as `evrun.testing` does.

SIGTERM or SIGINT: `/readyz` and whatever is new get 503, what is under way finishes, then all
connections are closed and `serve` returns. A second SIGINT cuts that short. With workers, each of
them does so. What does not end even so, such as a wait for a database that hangs, ends with the
process.
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

from evrun._headers import CAPABILITIES
from evrun.server.api.access_log import AccessLog, Observed
from evrun.server.api.app import ANNOUNCED, announced, busy, create_app
from evrun.server.api.faults import Faults
from evrun.server.api.lifecycle import Lifecycle
from evrun.server.api.limits import BODY_LIMIT
from evrun.server.api.metrics import Metrics
from evrun.server.db.database import Database
from evrun.server.hosting.protocol import GuardedConfig, Limits
from evrun.server.hosting.signals import stop_signals
from evrun.server.hosting.supervisor import supervise

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from evrun.server.api.access_log import Exchange
    from evrun.server.api.faults import Schedule
    from evrun.server.api.limits import Rate

DRAIN = 30.0
"""Seconds that requests under way get when the server stops."""
GRACE = 5.0
"""Seconds after that in which the database is closed, or is left as it is."""

_LOGGER = logging.getLogger("uvicorn.error")


@frozen(kw_only=True)
class Settings:
    """How the server is run, but for where its data lies and where it listens."""

    workers: int = 1
    """Processes that answer. More than one need a database with many writers."""
    limits: Limits = field(factory=Limits)
    body_limit: int = BODY_LIMIT
    rate: Rate | None = None
    """Of each key, in each process."""
    access_log: Literal["json", "text", "off"] = "text"
    drain: float = DRAIN
    certificate: str | None = None
    """A file in PEM; without it the server speaks plain HTTP."""
    private_key: str | None = None
    """Likewise; without it the key stands in the certificate's file."""
    faults: Schedule | None = None
    """What goes wrong on purpose. One process has to count for it."""

    @property
    def tls(self) -> bool:
        """Whether the server speaks HTTPS."""
        return self.certificate is not None


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. Raises `OSError`, `UnicodeError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Here, since `create_server` does not tell a failure of this from others.
    (*_, address), *_ = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM)
    listener = socket.create_server(address, family=family, backlog=2048)
    # An answer leaves in two writes. Nagle's algorithm would hold the second until the client
    # acknowledges the first, which it delays: 44 ms a request, measured, instead of 2. asyncio
    # turns it off only for sockets that it makes itself; connections inherit this.
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

    - `faults` are what goes wrong on purpose; a schedule in the settings is not followed by itself.
    - `local_key` is accepted besides the stored keys.
    - `ready` is called when requests are taken.
    - `log_config` is what uvicorn sets up; without it, logging stays as it is.
    """
    lifecycle, metrics = Lifecycle(), Metrics()
    observers: list[Callable[[Exchange], None]] = [metrics]
    if settings.access_log != "off":
        observers.append(AccessLog(settings.access_log))

    def observe(exchange: Exchange) -> None:
        for observer in observers:
            observer(exchange)

    app = create_app(
        database,
        local_key=local_key,
        body_limit=settings.body_limit,
        patience=settings.limits.patience,
        rate=settings.rate,
        lifecycle=lifecycle,
        metrics=metrics,
        faults=faults,
    )
    config = GuardedConfig(
        Observed(app, observe),
        limits=settings.limits,
        busy=Observed(announced(busy), observe),
        headers=[(CAPABILITIES, ANNOUNCED)],
        observe=observe,
        hangs_up=faults is not None,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.private_key,
        log_config=log_config,
    )
    config.load()
    server = DrainingServer(config, lifecycle, settings.drain, ready)
    metrics.connections.set_function(lambda: len(server.server_state.connections))
    return server


class DrainingServer(Server):
    """uvicorn's server, which first lets load balancers and clients know."""

    def __init__(
        self,
        config: GuardedConfig,
        lifecycle: Lifecycle,
        drain: float,
        ready: Callable[[], None] | None = None,
    ) -> None:
        """Take what uvicorn takes, and more.

        - `drain`: seconds that requests under way get.
        - `ready` is called when requests are taken.
        """
        super().__init__(config)
        self._lifecycle = lifecycle
        self._drain = drain
        self._ready = ready
        self.ended = threading.Event()
        """Set when nothing is left that could keep the process from ending."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the database, listen, and say so."""
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, at once."""
        self._lifecycle.draining = True
        first, forced = not self.should_exit, self.force_exit
        super().handle_exit(sig, frame)
        if first:
            self._end_within(self._drain + GRACE)
        elif self.force_exit and not forced:
            self._end_within(GRACE)

    def _end_within(self, seconds: float) -> None:
        """End the process if it has not come to its end by then.

        A thread that waits for a database which says nothing cannot be ended otherwise. Nothing is
        lost that way: who waited for it was told that it may be done or not.
        """

        def end() -> None:
            if not self.ended.wait(seconds):
                _LOGGER.error(
                    "The database does not answer what is under way; the server ends without it."
                )
                os._exit(0)

        threading.Thread(target=end, name="evrun-end", daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on until what is under way is done, so that refusals are answers."""
        self._lifecycle.draining = True
        deadline = asyncio.get_running_loop().time() + self._drain
        while self.server_state.tasks and not self.force_exit:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.02)
        # What is left of the time: uvicorn would begin to count anew, and 0 is for ever to it.
        left = deadline - asyncio.get_running_loop().time()
        self.config.timeout_graceful_shutdown = max(1, round(left))
        await super().shutdown(sockets)
