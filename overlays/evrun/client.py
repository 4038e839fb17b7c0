"""`Evrun` and `AsyncEvrun`: a key, an address and the resources.

What both share is in `_client`; they differ in the pool inside and in what must be awaited. A
resource is imported when it is first used, so that `import evrun` stays light.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from evrun._client import DEFAULT_LOCAL_PATH, BaseClient
from evrun._transport import settings
from evrun._transport.connection_settings import DEFAULT_CONCURRENCY, ConnectionSettings
from evrun._transport.pool import AsyncPool, Pool
from evrun._transport.short_repr import short_repr
from evrun._transport.transport import AsyncTransport, Transport
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Literal, Self

    import httpx

    from evrun._transport.retry import OnUnknown
    from evrun._transport.settings import Config
    from evrun.aio.datapoints import AsyncDatapoints
    from evrun.aio.datasets import AsyncDatasets
    from evrun.aio.evaluations import AsyncEvaluations
    from evrun.aio.evaluators import AsyncEvaluators
    from evrun.aio.logs import AsyncLogs
    from evrun.aio.model_configs import AsyncModelConfigs
    from evrun.aio.projects import AsyncProjects
    from evrun.aio.raw import AsyncRawEvrun
    from evrun.aio.run import AsyncRun
    from evrun.aio.sessions import AsyncSessions
    from evrun.ids import EvaluationRunId, PlainStr
    from evrun.middleware import AsyncMiddleware, Middleware
    from evrun.raw import RawEvrun
    from evrun.resources.datapoints import Datapoints
    from evrun.resources.datasets import Datasets
    from evrun.resources.evaluations import Evaluations
    from evrun.resources.evaluators import Evaluators
    from evrun.resources.logs import Logs
    from evrun.resources.model_configs import ModelConfigs
    from evrun.resources.projects import Projects
    from evrun.resources.sessions import Sessions
    from evrun.run import Run
    from evrun.server.hosting.embedded import EmbeddedServer


class Evrun(BaseClient[Pool]):
    """A client of the v4 Evaluations API.

    Whom it talks to:

    - `api_key`: or `EVRUN_API_KEY`. `HUMANLOOP_API_KEY` is used too, but only towards this machine.
    - `base_url`: or `EVRUN_BASE_URL`, such as `http://127.0.0.1:8000/v4`. There is no default: the
      vendor's hosted platform ended on 8 September 2025, and its address is refused.

    How long it waits, and what it tries again:

    - `timeout`: seconds, or an `httpx.Timeout`. By default 5 to connect, 60 for each read and
      write, and to wait for a free connection. At most 2,000,000, as for `deadline`.
    - `deadline`: seconds for a whole call: all attempts, the waits between them and the answer.
    - `max_retries`: attempts after the first, 3 by default, with growing random waits (0.5 to 8 s),
      or as long as the server asks for, up to 120 s.
    - `on_unknown`: what follows when a request that changes something may have been carried out (no
      answer, 5xx): "retry" sends it again, "raise" raises `UnknownOutcomeError`. By default it is
      sent again only to a server that has announced that it recognises the `Idempotency-Key`, which
      every POST carries, the same one in each attempt.

    How it connects, as for httpx:

    - `concurrency`: requests at a time; the pool has as many connections.
    - `proxy`, `verify`, `cert`, `trust_env`: the latter reads proxies and certificates from the
      environment. `verify` is a bool, a file or folder of certificates, or an `ssl.SSLContext`.
    - `transport`: an `httpx.BaseTransport`; or "fast", which sends through pyreqwest
      (`pip install 'evrun[fast]'`), with these differences: certificates that `verify` names are
      trusted beside the system's; the limit to read begins with the attempt, and covers the whole
      head of an answer; Ctrl-C is noticed when the attempt ends; it runs on asyncio only, and not
      in a child that was forked after its first request.
    - `http_client`: an `httpx.Client` of yours that sends the requests, with your settings and
      hooks; you close it.
    - `middleware`: functions around every attempt, see `evrun.middleware`.

    Connections are opened at the first request. Use it as a context manager, or call `close`. It
    may be shared by threads, pickled, and used after a fork. Raises `ConfigurationError` if the key
    or the address is missing, or a setting unusable.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        deadline: float | None = None,
        max_retries: int | None = None,
        on_unknown: OnUnknown | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        proxy: str | httpx.Proxy | None = None,
        verify: bool | str | ssl.SSLContext = True,
        cert: str | tuple[str, str] | None = None,
        trust_env: bool = True,
        transport: Literal["fast"] | httpx.BaseTransport | None = None,
        http_client: httpx.Client | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self._connect(
            settings.resolve(
                api_key=api_key,
                base_url=base_url,
                timeout=timeout,
                deadline=deadline,
                max_retries=max_retries,
                on_unknown=on_unknown,
            ),
            ConnectionSettings(
                concurrency=concurrency,
                proxy=proxy,
                verify=verify,
                cert=cert,
                trust_env=trust_env,
                transport=transport,
                http_client=http_client,
                middleware=middleware,
            ),
        )

    def _connect(
        self,
        config: Config,
        connection_settings: ConnectionSettings,
        *,
        server: EmbeddedServer | None = None,
    ) -> None:
        pool = Pool(connection_settings.towards(config.base_url))
        self._set_up(config, pool, Transport, server=server)

    @classmethod
    def local(
        cls,
        path: str | os.PathLike[str] = DEFAULT_LOCAL_PATH,
        *,
        timeout: float | httpx.Timeout | None = None,
    ) -> Self:
        """Return a client of the real server, run in this process over the SQLite file `path`.

        The file is opened here, and made if it is not there, which takes up to half a second. No
        port is opened. Several processes may use the same file. Needs `evrun[server]`.

        Raises `ConfigurationError` if the file cannot be used. A file that is moved, deleted or
        replaced while the client is open is not made anew: calls raise `ServerError` until it is
        back.
        """
        server = _embedded(path)
        server.open()
        return cls._over(server, timeout=timeout)

    @classmethod
    def _unopened(cls, path: str) -> Self:
        return cls._over(_embedded(path))

    @classmethod
    def _over(cls, server: EmbeddedServer, *, timeout: float | httpx.Timeout | None = None) -> Self:
        client = object.__new__(cls)
        client._connect(
            settings.resolve(api_key=server.key, base_url=server.base_url, timeout=timeout),
            ConnectionSettings(transport=server.transport(), embedded=True),
            server=server,
        )
        return client

    @property
    def with_raw_response(self) -> RawEvrun:
        """The same resources; their methods return a `RawResponse` with the result in it."""
        from evrun.raw import RawEvrun

        return RawEvrun(self)

    @cached_property
    def evaluations(self) -> Evaluations:
        """Evaluation runs, and what is logged to them."""
        from evrun.resources.evaluations import Evaluations

        return Evaluations(self.generated, self._announced)

    @cached_property
    def projects(self) -> Projects:
        """Projects."""
        from evrun.resources.projects import Projects

        return Projects(self.generated)

    @cached_property
    def datasets(self) -> Datasets:
        """Datasets and their datapoints."""
        from evrun.resources.datasets import Datasets

        return Datasets(self.generated)

    @cached_property
    def datapoints(self) -> Datapoints:
        """Single datapoints."""
        from evrun.resources.datapoints import Datapoints

        return Datapoints(self.generated)

    @cached_property
    def evaluators(self) -> Evaluators:
        """Evaluators."""
        from evrun.resources.evaluators import Evaluators

        return Evaluators(self.generated)

    @cached_property
    def model_configs(self) -> ModelConfigs:
        """Model configs."""
        from evrun.resources.model_configs import ModelConfigs

        return ModelConfigs(self.generated)

    @cached_property
    def logs(self) -> Logs:
        """Logs."""
        from evrun.resources.logs import Logs

        return Logs(self.generated)

    @cached_property
    def sessions(self) -> Sessions:
        """Sessions."""
        from evrun.resources.sessions import Sessions

        return Sessions(self.generated)

    def run(self, evaluation_id: EvaluationRunId | PlainStr) -> Run:
        """Return a helper that is bound to one run. Nothing is sent. Raises `InvalidIdError`."""
        from evrun.run import Run

        return Run(self.evaluations, evaluation_id)

    def close(self) -> None:
        """Close the connections, and the embedded server if there is one. Closing twice is fine."""
        if self._owns:
            self._pool.close()
            if self._server is not None:
                self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncEvrun(BaseClient[AsyncPool]):
    """Like `Evrun`, awaited. `http_client` is an `httpx.AsyncClient`.

    It may be used by several event loops, one after the other or at a time: each has its
    connections.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        deadline: float | None = None,
        max_retries: int | None = None,
        on_unknown: OnUnknown | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        proxy: str | httpx.Proxy | None = None,
        verify: bool | str | ssl.SSLContext = True,
        cert: str | tuple[str, str] | None = None,
        trust_env: bool = True,
        transport: Literal["fast"] | httpx.AsyncBaseTransport | None = None,
        http_client: httpx.AsyncClient | None = None,
        middleware: Sequence[AsyncMiddleware] = (),
    ) -> None:
        self._connect(
            settings.resolve(
                api_key=api_key,
                base_url=base_url,
                timeout=timeout,
                deadline=deadline,
                max_retries=max_retries,
                on_unknown=on_unknown,
            ),
            ConnectionSettings(
                concurrency=concurrency,
                proxy=proxy,
                verify=verify,
                cert=cert,
                trust_env=trust_env,
                transport=transport,
                http_client=http_client,
                middleware=middleware,
            ),
        )

    def _connect(
        self,
        config: Config,
        connection_settings: ConnectionSettings,
        *,
        server: EmbeddedServer | None = None,
    ) -> None:
        pool = AsyncPool(connection_settings.towards(config.base_url))
        self._set_up(config, pool, AsyncTransport, server=server)

    @classmethod
    def local(
        cls,
        path: str | os.PathLike[str] = DEFAULT_LOCAL_PATH,
        *,
        timeout: float | httpx.Timeout | None = None,
    ) -> Self:
        """Like `Evrun.local`. It is not awaited: opening the file blocks a running event loop.

        Where that is too long, call it by `asyncio.to_thread(AsyncEvrun.local, path)`.
        """
        server = _embedded(path)
        server.open()
        return cls._over(server, timeout=timeout)

    @classmethod
    def _unopened(cls, path: str) -> Self:
        return cls._over(_embedded(path))

    @classmethod
    def _over(cls, server: EmbeddedServer, *, timeout: float | httpx.Timeout | None = None) -> Self:
        client = object.__new__(cls)
        client._connect(
            settings.resolve(api_key=server.key, base_url=server.base_url, timeout=timeout),
            ConnectionSettings(transport=server.async_transport(), embedded=True),
            server=server,
        )
        return client

    @property
    def with_raw_response(self) -> AsyncRawEvrun:
        """Like `Evrun.with_raw_response`; the methods are awaited."""
        from evrun.aio.raw import AsyncRawEvrun

        return AsyncRawEvrun(self)

    @cached_property
    def evaluations(self) -> AsyncEvaluations:
        """Evaluation runs, and what is logged to them."""
        from evrun.aio.evaluations import AsyncEvaluations

        return AsyncEvaluations(self.generated, self._announced)

    @cached_property
    def projects(self) -> AsyncProjects:
        """Projects."""
        from evrun.aio.projects import AsyncProjects

        return AsyncProjects(self.generated)

    @cached_property
    def datasets(self) -> AsyncDatasets:
        """Datasets and their datapoints."""
        from evrun.aio.datasets import AsyncDatasets

        return AsyncDatasets(self.generated)

    @cached_property
    def datapoints(self) -> AsyncDatapoints:
        """Single datapoints."""
        from evrun.aio.datapoints import AsyncDatapoints

        return AsyncDatapoints(self.generated)

    @cached_property
    def evaluators(self) -> AsyncEvaluators:
        """Evaluators."""
        from evrun.aio.evaluators import AsyncEvaluators

        return AsyncEvaluators(self.generated)

    @cached_property
    def model_configs(self) -> AsyncModelConfigs:
        """Model configs."""
        from evrun.aio.model_configs import AsyncModelConfigs

        return AsyncModelConfigs(self.generated)

    @cached_property
    def logs(self) -> AsyncLogs:
        """Logs."""
        from evrun.aio.logs import AsyncLogs

        return AsyncLogs(self.generated)

    @cached_property
    def sessions(self) -> AsyncSessions:
        """Sessions."""
        from evrun.aio.sessions import AsyncSessions

        return AsyncSessions(self.generated)

    def run(self, evaluation_id: EvaluationRunId | PlainStr) -> AsyncRun:
        """Like `Evrun.run`; the helper's methods are awaited."""
        from evrun.aio.run import AsyncRun

        return AsyncRun(self.evaluations, evaluation_id)

    async def aclose(self) -> None:
        """Like `Evrun.close`, awaited."""
        if self._owns:
            await self._pool.close()
            if self._server is not None:
                self._server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _embedded(path: str | os.PathLike[str]) -> EmbeddedServer:
    if not settings.is_path(path):
        raise ConfigurationError(
            f"Evrun.local: {short_repr(path)} is not the path of a file. Pass a str or an "
            'os.PathLike without a NUL character, such as "evals.db".'
        )
    from evrun._base.extras import require

    require("The embedded server", "server")
    from evrun.server.errors import DatabaseUnusableError
    from evrun.server.hosting.embedded import EmbeddedServer

    try:
        return EmbeddedServer(path)
    except DatabaseUnusableError as error:
        raise ConfigurationError(str(error)) from error
