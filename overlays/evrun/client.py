"""`Evrun` and `AsyncEvrun`: a key, an address and the resources.

What both share is in `_Base`; they differ in the httpx client inside and in what must be awaited.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import httpx

from evrun import _config
from evrun._transport import AsyncTransport, Transport
from evrun._version import __version__
from evrun.errors import ConfigurationError
from evrun.resources.datapoints import AsyncDatapoints, Datapoints
from evrun.resources.datasets import AsyncDatasets, Datasets
from evrun.resources.evaluations import AsyncEvaluations, Evaluations
from evrun.resources.evaluators import AsyncEvaluators, Evaluators
from evrun.resources.logs import AsyncLogs, Logs
from evrun.resources.model_configs import AsyncModelConfigs, ModelConfigs
from evrun.resources.projects import AsyncProjects, Projects
from evrun.resources.sessions import AsyncSessions, Sessions
from evrun.run import AsyncRun, Run
from evrun_api import AuthenticatedClient

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

    from evrun.ids import EvaluationRunId, PlainStr
    from evrun.server.embedded import EmbeddedServer

DEFAULT_LOCAL_PATH = "evrun.db"


class _Base:
    """What a client is, apart from waiting."""

    _config: _config.Config
    _server: EmbeddedServer | None = None

    @property
    def base_url(self) -> str:
        """The address of the API, without a slash at the end."""
        return self._config.base_url

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"

    def _generated(self, transport: Transport | AsyncTransport) -> AuthenticatedClient:
        # On its own it would send `Authorization: Bearer`, and return None for an odd status.
        return AuthenticatedClient(
            base_url=self.base_url,
            token=self._config.api_key,
            prefix="",
            auth_header_name="X-API-KEY",
            headers={"User-Agent": f"evrun/{__version__}"},
            timeout=self._config.timeout,
            raise_on_unexpected_status=True,
            httpx_args={"transport": transport},
        )


class Evrun(_Base):
    """A client of the v4 Evaluations API.

    - `api_key`: or `EVRUN_API_KEY`. `HUMANLOOP_API_KEY` is used too, but only towards humanloop.com
      and this machine.
    - `base_url`: or `EVRUN_BASE_URL`; `https://api.humanloop.com/v4` if neither is there.
    - `timeout`: seconds, or an `httpx.Timeout`. By default 5 to connect, 60 for everything else.
    - `http_client`: an `httpx.Client` of yours that sends the requests, with your proxies, TLS
      settings and hooks; you close it. The default one reads proxies and certificates from the
      environment, as httpx does.

    Connections are opened at the first request. Use it as a context manager, or call `close`.
    Raises `ConfigurationError` if the key is missing or the address unusable.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        http_client: httpx.Client | None = None,
    ) -> None:
        self._config = _config.resolve(api_key=api_key, base_url=base_url, timeout=timeout)
        if isinstance(http_client, httpx.AsyncClient):
            raise ConfigurationError(
                "http_client is an httpx.AsyncClient; use AsyncEvrun, or pass an httpx.Client."
            )
        self.generated = self._generated(
            Transport(lambda: http_client or httpx.Client(), owned=http_client is None)
        )
        self.generated.get_httpx_client()  # now, because several threads may want it first
        """The generated client over our transport, for `from evrun_api.api.… import …`."""

    @classmethod
    def local(
        cls,
        path: str | os.PathLike[str] = DEFAULT_LOCAL_PATH,
        *,
        timeout: float | httpx.Timeout | None = None,
    ) -> Self:
        """Return a client of the real server, run in this process over the SQLite file `path`.

        No port is opened. Several processes may use the same file. Needs `evrun[server]`.
        """
        server = _embedded(path)
        client = cls(
            api_key=server.key,
            base_url=server.base_url,
            timeout=timeout,
            http_client=httpx.Client(transport=server.transport()),
        )
        client._server = server
        return client

    @cached_property
    def evaluations(self) -> Evaluations:
        """Evaluation runs, and what is logged to them."""
        return Evaluations(self.generated)

    @cached_property
    def projects(self) -> Projects:
        """Projects."""
        return Projects(self.generated)

    @cached_property
    def datasets(self) -> Datasets:
        """Datasets and their datapoints."""
        return Datasets(self.generated)

    @cached_property
    def datapoints(self) -> Datapoints:
        """Single datapoints."""
        return Datapoints(self.generated)

    @cached_property
    def evaluators(self) -> Evaluators:
        """Evaluators."""
        return Evaluators(self.generated)

    @cached_property
    def model_configs(self) -> ModelConfigs:
        """Model configs."""
        return ModelConfigs(self.generated)

    @cached_property
    def logs(self) -> Logs:
        """Logs."""
        return Logs(self.generated)

    @cached_property
    def sessions(self) -> Sessions:
        """Sessions."""
        return Sessions(self.generated)

    def run(self, evaluation_id: EvaluationRunId | PlainStr) -> Run:
        """Return a helper that is bound to one run. Nothing is sent. Raises `InvalidIdError`."""
        return Run(self.evaluations, evaluation_id)

    def close(self) -> None:
        """Close the connections, and the embedded server if there is one. Closing twice is fine."""
        self.generated.get_httpx_client().close()
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


class AsyncEvrun(_Base):
    """Like `Evrun`, awaited. `http_client` is an `httpx.AsyncClient`."""

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._config = _config.resolve(api_key=api_key, base_url=base_url, timeout=timeout)
        if isinstance(http_client, httpx.Client):
            raise ConfigurationError(
                "http_client is an httpx.Client; use Evrun, or pass an httpx.AsyncClient."
            )
        self.generated = self._generated(
            AsyncTransport(lambda: http_client or httpx.AsyncClient(), owned=http_client is None)
        )
        """The generated client over our transport, for `from evrun_api.api.… import …`."""

    @classmethod
    def local(
        cls,
        path: str | os.PathLike[str] = DEFAULT_LOCAL_PATH,
        *,
        timeout: float | httpx.Timeout | None = None,
    ) -> Self:
        """Like `Evrun.local`, awaited."""
        server = _embedded(path)
        client = cls(
            api_key=server.key,
            base_url=server.base_url,
            timeout=timeout,
            http_client=httpx.AsyncClient(transport=server.async_transport()),
        )
        client._server = server
        return client

    @cached_property
    def evaluations(self) -> AsyncEvaluations:
        """Evaluation runs, and what is logged to them."""
        return AsyncEvaluations(self.generated)

    @cached_property
    def projects(self) -> AsyncProjects:
        """Projects."""
        return AsyncProjects(self.generated)

    @cached_property
    def datasets(self) -> AsyncDatasets:
        """Datasets and their datapoints."""
        return AsyncDatasets(self.generated)

    @cached_property
    def datapoints(self) -> AsyncDatapoints:
        """Single datapoints."""
        return AsyncDatapoints(self.generated)

    @cached_property
    def evaluators(self) -> AsyncEvaluators:
        """Evaluators."""
        return AsyncEvaluators(self.generated)

    @cached_property
    def model_configs(self) -> AsyncModelConfigs:
        """Model configs."""
        return AsyncModelConfigs(self.generated)

    @cached_property
    def logs(self) -> AsyncLogs:
        """Logs."""
        return AsyncLogs(self.generated)

    @cached_property
    def sessions(self) -> AsyncSessions:
        """Sessions."""
        return AsyncSessions(self.generated)

    def run(self, evaluation_id: EvaluationRunId | PlainStr) -> AsyncRun:
        """Like `Evrun.run`; the helper's methods are awaited."""
        return AsyncRun(self.evaluations, evaluation_id)

    async def aclose(self) -> None:
        """Like `Evrun.close`, awaited."""
        await self.generated.get_async_httpx_client().aclose()
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
    try:
        from evrun.server.embedded import EmbeddedServer  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The embedded server needs {(error.name or '').partition('.')[0]}. "
            "Install it with: pip install 'evrun[server]'"
        ) from error
    return EmbeddedServer(path)
