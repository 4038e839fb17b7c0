"""The server on a port of this machine, in a thread, for the time of a test."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from evrun.client import AsyncEvrun, Evrun
from evrun.server.app import create_app
from evrun.server.authentication import generate_key
from evrun.server.database import Database
from evrun.server.faults import Faults
from evrun.server.faults.connection import protocol
from evrun.server.operations import PREFIX

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_PATIENCE = 5  # seconds that requests under way get at the end, delayed ones too


class Server:
    """The real server over the database at a SQLAlchemy URL, on a free port of 127.0.0.1.

    It is there until it is closed. Requests meet what `faults` says, at first nothing.
    """

    def __init__(self, database_url: str, *, faults: Faults | None = None) -> None:
        """Start it. Raises `DatabaseUnusable` or `Unavailable` if the database cannot be opened."""
        self.faults = faults or Faults()
        self.key = generate_key()
        """Opens this server as long as it lives; it acts for the default organisation."""
        database = Database(database_url)
        database.open()  # here, where the caller hears of it
        app = create_app(database, local_key=self.key, faults=self.faults)
        # Connections wait in the backlog until it is ready.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        # Answers leave in two writes; see `evrun serve`.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}{PREFIX}"
        config = uvicorn.Config(
            app,
            http=protocol(AutoHTTPProtocol),  # h11 or httptools, whichever is there
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="evrun-testing", daemon=True
        )
        self._thread.start()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def client(self, **options: Any) -> Evrun:
        """Return a client of it; `options` are those of `Evrun`."""
        return Evrun(api_key=self.key, base_url=self.base_url, **options)

    def async_client(self, **options: Any) -> AsyncEvrun:
        """Like `client`, awaited."""
        return AsyncEvrun(api_key=self.key, base_url=self.base_url, **options)

    def environment(self) -> dict[str, str]:
        """Return the variables with which `Evrun()` finds it, in any process."""
        return {"EVRUN_API_KEY": self.key, "EVRUN_BASE_URL": self.base_url}

    def close(self) -> None:
        """Let requests under way finish, and stop. Closing twice is fine."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
