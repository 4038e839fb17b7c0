"""What `Evrun` and `AsyncEvrun` share: settings, views, and how they travel. Nothing here waits."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve

from evrun._base.headers import API_KEY
from evrun._transport import settings
from evrun._transport.clock import Clock
from evrun._transport.exchange import Announced
from evrun._transport.pool import AsyncPool, Pool
from evrun._version import __version__
from evrun_api import AuthenticatedClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    import httpx

    from evrun._transport.connection_settings import ConnectionSettings
    from evrun._transport.retry import OnUnknown
    from evrun._transport.settings import Config, Options
    from evrun.server.hosting.embedded import EmbeddedServer

DEFAULT_LOCAL_PATH = "evrun.db"

P = TypeVar("P", Pool, AsyncPool)


class BaseClient(ABC, Generic[P]):
    """What a client is, apart from waiting."""

    generated: AuthenticatedClient
    """The generated client over our transport, for `from evrun_api.api.… import …`."""

    def _set_up(
        self,
        config: Config,
        pool: P,
        transport: Callable[..., httpx.BaseTransport | httpx.AsyncBaseTransport],
        *,
        announced: Announced | None = None,
        server: EmbeddedServer | None = None,
    ) -> None:
        self._config = config
        self._pool: P = pool
        self._transport = transport
        # Our own server in this process needs no announcement.
        self._announced = announced or Announced(idempotency=server is not None)
        self._server = server
        # On its own it would send `Authorization: Bearer`, and return None for an odd status.
        self.generated = AuthenticatedClient(
            base_url=config.base_url,
            token=config.api_key,
            prefix="",
            auth_header_name=API_KEY,
            headers={"User-Agent": f"evrun/{__version__}"},
            timeout=config.options.timeout,
            raise_on_unexpected_status=True,
            httpx_args={"transport": transport(pool, config.options, self._announced, Clock())},
        )

    @property
    def base_url(self) -> str:
        """The address of the API, without a slash at the end."""
        return self._config.base_url

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | None = None,
        deadline: float | None = None,
        max_retries: int | None = None,
        on_unknown: OnUnknown | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return a view of this client that calls otherwise; this one stays as it is.

        A view is cheap, good for a single call, and shares the connections; closing it closes
        nothing. What is None stays as it is here; the `extra_…` are added to those here.

        - `extra_headers`: go before ours. With `{"Idempotency-Key": …}` a POST that was given up
          can be sent again, for one call only.
        - `extra_query`: text, numbers and bools; a list repeats the parameter.
        - `extra_body`: fields of the JSON body, also ones that this version does not know; None is
          sent as null.
        """
        return self._view(
            settings.changed(
                self._config.options,
                timeout=timeout,
                deadline=deadline,
                max_retries=max_retries,
                on_unknown=on_unknown,
                extra_headers=extra_headers,
                extra_query=extra_query,
                extra_body=extra_body,
            )
        )

    def _view(self, options: Options) -> Self:
        view = object.__new__(type(self))
        view._set_up(
            evolve(self._config, options=options),
            self._pool,
            self._transport,
            announced=self._announced,
            server=self._server,
        )
        view._owns = False
        return view

    _owns = True
    """Whether closing it closes the connections: a view leaves that to its origin."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # Settings travel; connections stay. The embedded server's key is good for one process only.
        if self._server is not None:
            path = os.fspath(self._server.path)
            return self._local_again, (path, self._config.options)
        self._pool.settings.check_sendable()
        return self._again, (self._config, self._pool.settings)

    @classmethod
    def _again(cls, config: Config, connection_settings: ConnectionSettings) -> Self:
        client = object.__new__(cls)
        client._connect(config, connection_settings)
        return client

    @classmethod
    def _local_again(cls, path: str, options: Options) -> Self:
        # Not opened before it is used: what a worker process cannot unpickle breaks its pool.
        client = cls._unopened(path)
        config = evolve(client._config, options=options)
        client._connect(config, client._pool.settings, server=client._server)
        return client

    @abstractmethod
    def _connect(
        self,
        config: Config,
        connection_settings: ConnectionSettings,
        *,
        server: EmbeddedServer | None = None,
    ) -> None:
        """Become a client with a pool of its own."""

    @classmethod
    @abstractmethod
    def _unopened(cls, path: str) -> Self:
        """Like `local`; the first call opens the file."""

    @classmethod
    @abstractmethod
    def local(cls, path: str | os.PathLike[str] = DEFAULT_LOCAL_PATH) -> Self:
        """Return a client of the real server, run in this process."""
