"""`client.with_raw_response`: the same calls, with the answer as it came beside the result.

    raw = client.with_raw_response.evaluations.log(run.id, datapoint_id="…", log={"output":
    "Paris"}) raw.parsed.id, raw.headers["X-Request-ID"], raw.attempts

Each method has the arguments of the one that it wraps. The `iter_…` methods and `log_many` have no
raw form, because they make many calls: use `list` with the `next_cursor` of the page before, and
`log_batch`.
"""

from __future__ import annotations

from functools import cached_property, wraps
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from attrs import frozen

from evrun._transport.call_state import call_state
from evrun._transport.exchange import Trail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from evrun._transport.call_state import CallState
    from evrun.client import AsyncEvrun, Evrun
    from evrun.resources.datapoints import AsyncDatapoints, Datapoints
    from evrun.resources.datasets import AsyncDatasets, Datasets
    from evrun.resources.evaluations import AsyncEvaluations, Evaluations
    from evrun.resources.evaluators import AsyncEvaluators, Evaluators
    from evrun.resources.logs import AsyncLogs, Logs
    from evrun.resources.model_configs import AsyncModelConfigs, ModelConfigs
    from evrun.resources.projects import AsyncProjects, Projects
    from evrun.resources.sessions import AsyncSessions, Sessions

P = ParamSpec("P")
T = TypeVar("T")


@frozen(kw_only=True)
class RawResponse(Generic[T]):
    """A result, and the answer that it was made of."""

    parsed: T
    """What the method returns without `with_raw_response`."""
    http: httpx.Response
    """The answer, read."""
    attempts: int
    elapsed: float
    """Seconds from the call to the answer, waits included."""
    idempotency_key: str | None
    """What all attempts of a POST carried."""

    @property
    def status_code(self) -> int:
        """The HTTP status, 2xx."""
        return self.http.status_code

    @property
    def headers(self) -> httpx.Headers:
        """The answer's headers; their names in any case."""
        return self.http.headers

    @property
    def content(self) -> bytes:
        """The answer's body."""
        return self.http.content


def raw(method: Callable[P, T]) -> Callable[P, RawResponse[T]]:
    """Return `method`, made to return the answer too."""

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        with call_state() as state:
            parsed = method(*args, **kwargs)
        return _raw_response(parsed, state)

    return wrapped


def async_raw(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[RawResponse[T]]]:
    """Like `raw`, for a method that is awaited."""

    @wraps(method)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        with call_state() as state:
            parsed = await method(*args, **kwargs)
        return _raw_response(parsed, state)

    return wrapped


def _raw_response(parsed: T, state: CallState) -> RawResponse[T]:
    response = state.received
    assert response is not None  # noqa: S101 - a result is made of an answer
    trail = Trail.of(response)
    return RawResponse(
        parsed=parsed,
        http=response,
        attempts=trail.attempts,
        elapsed=trail.elapsed,
        idempotency_key=trail.idempotency_key,
    )


class RawEvaluations:
    """Like `Evaluations`, with the answers."""

    def __init__(self, evaluations: Evaluations) -> None:
        self.log = raw(evaluations.log)
        self.log_batch = raw(evaluations.log_batch)
        self.result = raw(evaluations.result)
        self.get = raw(evaluations.get)
        self.list_datapoints = raw(evaluations.list_datapoints)
        self.create = raw(evaluations.create)
        self.update_status = raw(evaluations.update_status)
        self.add_evaluators = raw(evaluations.add_evaluators)
        self.list = raw(evaluations.list)
        self.list_all_for_project = raw(evaluations.list_all_for_project)


class RawProjects:
    """Like `Projects`, with the answers."""

    def __init__(self, projects: Projects) -> None:
        self.create = raw(projects.create)
        self.get = raw(projects.get)
        self.list = raw(projects.list)


class RawDatasets:
    """Like `Datasets`, with the answers."""

    def __init__(self, datasets: Datasets) -> None:
        self.create = raw(datasets.create)
        self.get = raw(datasets.get)
        self.list = raw(datasets.list)
        self.list_datapoints = raw(datasets.list_datapoints)
        self.create_datapoints = raw(datasets.create_datapoints)
        self.create_datapoints_from_logs = raw(datasets.create_datapoints_from_logs)


class RawDatapoints:
    """Like `Datapoints`, with the answers."""

    def __init__(self, datapoints: Datapoints) -> None:
        self.get = raw(datapoints.get)


class RawEvaluators:
    """Like `Evaluators`, with the answers."""

    def __init__(self, evaluators: Evaluators) -> None:
        self.create = raw(evaluators.create)
        self.get = raw(evaluators.get)
        self.list = raw(evaluators.list)
        self.update = raw(evaluators.update)
        self.delete = raw(evaluators.delete)


class RawModelConfigs:
    """Like `ModelConfigs`, with the answers."""

    def __init__(self, model_configs: ModelConfigs) -> None:
        self.register = raw(model_configs.register)
        self.get = raw(model_configs.get)


class RawLogs:
    """Like `Logs`, with the answers."""

    def __init__(self, logs: Logs) -> None:
        self.get = raw(logs.get)
        self.list = raw(logs.list)
        self.update = raw(logs.update)
        self.update_by_reference = raw(logs.update_by_reference)


class RawSessions:
    """Like `Sessions`, with the answers."""

    def __init__(self, sessions: Sessions) -> None:
        self.create = raw(sessions.create)
        self.get = raw(sessions.get)
        self.list = raw(sessions.list)


class RawEvrun:
    """The resources of an `Evrun`, with the answers."""

    def __init__(self, client: Evrun) -> None:
        self._client = client

    @cached_property
    def evaluations(self) -> RawEvaluations:
        """Like `Evrun.evaluations`."""
        return RawEvaluations(self._client.evaluations)

    @cached_property
    def projects(self) -> RawProjects:
        """Like `Evrun.projects`."""
        return RawProjects(self._client.projects)

    @cached_property
    def datasets(self) -> RawDatasets:
        """Like `Evrun.datasets`."""
        return RawDatasets(self._client.datasets)

    @cached_property
    def datapoints(self) -> RawDatapoints:
        """Like `Evrun.datapoints`."""
        return RawDatapoints(self._client.datapoints)

    @cached_property
    def evaluators(self) -> RawEvaluators:
        """Like `Evrun.evaluators`."""
        return RawEvaluators(self._client.evaluators)

    @cached_property
    def model_configs(self) -> RawModelConfigs:
        """Like `Evrun.model_configs`."""
        return RawModelConfigs(self._client.model_configs)

    @cached_property
    def logs(self) -> RawLogs:
        """Like `Evrun.logs`."""
        return RawLogs(self._client.logs)

    @cached_property
    def sessions(self) -> RawSessions:
        """Like `Evrun.sessions`."""
        return RawSessions(self._client.sessions)


class AsyncRawEvaluations:
    """Like `RawEvaluations`, awaited."""

    def __init__(self, evaluations: AsyncEvaluations) -> None:
        self.log = async_raw(evaluations.log)
        self.log_batch = async_raw(evaluations.log_batch)
        self.result = async_raw(evaluations.result)
        self.get = async_raw(evaluations.get)
        self.list_datapoints = async_raw(evaluations.list_datapoints)
        self.create = async_raw(evaluations.create)
        self.update_status = async_raw(evaluations.update_status)
        self.add_evaluators = async_raw(evaluations.add_evaluators)
        self.list = async_raw(evaluations.list)
        self.list_all_for_project = async_raw(evaluations.list_all_for_project)


class AsyncRawProjects:
    """Like `RawProjects`, awaited."""

    def __init__(self, projects: AsyncProjects) -> None:
        self.create = async_raw(projects.create)
        self.get = async_raw(projects.get)
        self.list = async_raw(projects.list)


class AsyncRawDatasets:
    """Like `RawDatasets`, awaited."""

    def __init__(self, datasets: AsyncDatasets) -> None:
        self.create = async_raw(datasets.create)
        self.get = async_raw(datasets.get)
        self.list = async_raw(datasets.list)
        self.list_datapoints = async_raw(datasets.list_datapoints)
        self.create_datapoints = async_raw(datasets.create_datapoints)
        self.create_datapoints_from_logs = async_raw(datasets.create_datapoints_from_logs)


class AsyncRawDatapoints:
    """Like `RawDatapoints`, awaited."""

    def __init__(self, datapoints: AsyncDatapoints) -> None:
        self.get = async_raw(datapoints.get)


class AsyncRawEvaluators:
    """Like `RawEvaluators`, awaited."""

    def __init__(self, evaluators: AsyncEvaluators) -> None:
        self.create = async_raw(evaluators.create)
        self.get = async_raw(evaluators.get)
        self.list = async_raw(evaluators.list)
        self.update = async_raw(evaluators.update)
        self.delete = async_raw(evaluators.delete)


class AsyncRawModelConfigs:
    """Like `RawModelConfigs`, awaited."""

    def __init__(self, model_configs: AsyncModelConfigs) -> None:
        self.register = async_raw(model_configs.register)
        self.get = async_raw(model_configs.get)


class AsyncRawLogs:
    """Like `RawLogs`, awaited."""

    def __init__(self, logs: AsyncLogs) -> None:
        self.get = async_raw(logs.get)
        self.list = async_raw(logs.list)
        self.update = async_raw(logs.update)
        self.update_by_reference = async_raw(logs.update_by_reference)


class AsyncRawSessions:
    """Like `RawSessions`, awaited."""

    def __init__(self, sessions: AsyncSessions) -> None:
        self.create = async_raw(sessions.create)
        self.get = async_raw(sessions.get)
        self.list = async_raw(sessions.list)


class AsyncRawEvrun:
    """The resources of an `AsyncEvrun`, with the answers."""

    def __init__(self, client: AsyncEvrun) -> None:
        self._client = client

    @cached_property
    def evaluations(self) -> AsyncRawEvaluations:
        """Like `AsyncEvrun.evaluations`."""
        return AsyncRawEvaluations(self._client.evaluations)

    @cached_property
    def projects(self) -> AsyncRawProjects:
        """Like `AsyncEvrun.projects`."""
        return AsyncRawProjects(self._client.projects)

    @cached_property
    def datasets(self) -> AsyncRawDatasets:
        """Like `AsyncEvrun.datasets`."""
        return AsyncRawDatasets(self._client.datasets)

    @cached_property
    def datapoints(self) -> AsyncRawDatapoints:
        """Like `AsyncEvrun.datapoints`."""
        return AsyncRawDatapoints(self._client.datapoints)

    @cached_property
    def evaluators(self) -> AsyncRawEvaluators:
        """Like `AsyncEvrun.evaluators`."""
        return AsyncRawEvaluators(self._client.evaluators)

    @cached_property
    def model_configs(self) -> AsyncRawModelConfigs:
        """Like `AsyncEvrun.model_configs`."""
        return AsyncRawModelConfigs(self._client.model_configs)

    @cached_property
    def logs(self) -> AsyncRawLogs:
        """Like `AsyncEvrun.logs`."""
        return AsyncRawLogs(self._client.logs)

    @cached_property
    def sessions(self) -> AsyncRawSessions:
        """Like `AsyncEvrun.sessions`."""
        return AsyncRawSessions(self._client.sessions)
