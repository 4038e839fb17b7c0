"""The server on a port of this machine, in a thread, during a test."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from evrun.client import AsyncEvrun, Evrun
from evrun.errors import ConfigurationError
from evrun.server.api.faults import Faults
from evrun.server.api.operations import PREFIX
from evrun.server.db.database import Database
from evrun.server.hosting.serve import Settings, build, listen
from evrun.server.store.api_keys import generate_key

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

SETTINGS = Settings(access_log="off", drain=5)
"""As `evrun serve` has them, but for the access log and 5 s to finish in."""


class Server:
    """The real server over the database at a SQLAlchemy URL, on a free port of 127.0.0.1.

    It runs until you close it. `settings` override the limits of `evrun serve`. `faults` decides
    which requests fail; at first none does.
    """

    def __init__(
        self, database_url: str, *, faults: Faults | None = None, settings: Settings = SETTINGS
    ) -> None:
        """Start the server.

        Raises `DatabaseUnusable` or `Unavailable` if the database cannot be opened, and
        `ConfigurationError` for settings that it would not follow.
        """
        if settings.workers > 1 or settings.faults is not None:
            raise ConfigurationError(
                "settings: a testing.Server has one worker, and takes faults=Faults(schedule)."
            )
        self.faults = faults or Faults()
        self.key = generate_key()
        """The key of this server while it runs; it acts for the default organisation."""
        database = Database(database_url)
        database.open()  # here, so that the caller gets the error
        self._server = build(database, settings, faults=self.faults, local_key=self.key)
        # Connections wait in the backlog until it is ready.
        self._listener = listen("127.0.0.1", 0)
        scheme = "https" if settings.tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}{PREFIX}"
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="evrun-testing", daemon=True
        )
        self._thread.start()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def client(self, **options: Any) -> Evrun:
        """Return a client of this server; `options` are those of `Evrun`."""
        return Evrun(api_key=self.key, base_url=self.base_url, **options)

    def async_client(self, **options: Any) -> AsyncEvrun:
        """Like `client`, awaited."""
        return AsyncEvrun(api_key=self.key, base_url=self.base_url, **options)

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which `Evrun()` finds this server."""
        return {"EVRUN_API_KEY": self.key, "EVRUN_BASE_URL": self.base_url}

    def close(self) -> None:
        """Let requests in progress finish, and stop. A second call does nothing."""
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
