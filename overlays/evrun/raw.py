"""`client.with_raw_response`: the same calls, with the answer as it came beside the result.

    raw = client.with_raw_response.evaluations.get(run.id)
    raw.parsed.id, raw.headers["X-Request-ID"], raw.attempts

Each method has the arguments of the one that it wraps. The `iter_…` methods and `log_many` have no
raw form, because they make many calls: use `list` with the `next_cursor` of the page before, and
`log_batch`.
"""

from __future__ import annotations

from functools import cached_property, wraps
from typing import TYPE_CHECKING, Generic, ParamSpec, Protocol, TypeVar

from attrs import frozen

from evrun._transport.call_state import call_state
from evrun._transport.exchange import Trail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from evrun._transport.call_state import CallState
    from evrun.resources.datapoints import Datapoints
    from evrun.resources.datasets import Datasets
    from evrun.resources.evaluations import Evaluations
    from evrun.resources.evaluators import Evaluators
    from evrun.resources.logs import Logs
    from evrun.resources.model_configs import ModelConfigs
    from evrun.resources.projects import Projects
    from evrun.resources.sessions import Sessions

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
    """The calls of `Evaluations`, with their answers."""

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
    """The calls of `Projects`, with their answers."""

    def __init__(self, projects: Projects) -> None:
        self.create = raw(projects.create)
        self.get = raw(projects.get)
        self.list = raw(projects.list)


class RawDatasets:
    """The calls of `Datasets`, with their answers."""

    def __init__(self, datasets: Datasets) -> None:
        self.create = raw(datasets.create)
        self.get = raw(datasets.get)
        self.list = raw(datasets.list)
        self.list_datapoints = raw(datasets.list_datapoints)
        self.create_datapoints = raw(datasets.create_datapoints)
        self.create_datapoints_from_logs = raw(datasets.create_datapoints_from_logs)


class RawDatapoints:
    """The calls of `Datapoints`, with their answers."""

    def __init__(self, datapoints: Datapoints) -> None:
        self.get = raw(datapoints.get)


class RawEvaluators:
    """The calls of `Evaluators`, with their answers."""

    def __init__(self, evaluators: Evaluators) -> None:
        self.create = raw(evaluators.create)
        self.get = raw(evaluators.get)
        self.list = raw(evaluators.list)
        self.update = raw(evaluators.update)
        self.delete = raw(evaluators.delete)


class RawModelConfigs:
    """The calls of `ModelConfigs`, with their answers."""

    def __init__(self, model_configs: ModelConfigs) -> None:
        self.register = raw(model_configs.register)
        self.get = raw(model_configs.get)


class RawLogs:
    """The calls of `Logs`, with their answers."""

    def __init__(self, logs: Logs) -> None:
        self.get = raw(logs.get)
        self.list = raw(logs.list)
        self.update = raw(logs.update)
        self.update_by_reference = raw(logs.update_by_reference)


class RawSessions:
    """The calls of `Sessions`, with their answers."""

    def __init__(self, sessions: Sessions) -> None:
        self.create = raw(sessions.create)
        self.get = raw(sessions.get)
        self.list = raw(sessions.list)


class Resources(Protocol):
    """What a client has, of which this makes the raw form."""

    @cached_property
    def evaluations(self) -> Evaluations: ...
    @cached_property
    def projects(self) -> Projects: ...
    @cached_property
    def datasets(self) -> Datasets: ...
    @cached_property
    def datapoints(self) -> Datapoints: ...
    @cached_property
    def evaluators(self) -> Evaluators: ...
    @cached_property
    def model_configs(self) -> ModelConfigs: ...
    @cached_property
    def logs(self) -> Logs: ...
    @cached_property
    def sessions(self) -> Sessions: ...


class RawEvrun:
    """The resources of an `Evrun`, with the answers."""

    def __init__(self, client: Resources) -> None:
        self._client = client

    @cached_property
    def evaluations(self) -> RawEvaluations:
        """The calls of `Evrun.evaluations`, with their answers."""
        return RawEvaluations(self._client.evaluations)

    @cached_property
    def projects(self) -> RawProjects:
        """The calls of `Evrun.projects`, with their answers."""
        return RawProjects(self._client.projects)

    @cached_property
    def datasets(self) -> RawDatasets:
        """The calls of `Evrun.datasets`, with their answers."""
        return RawDatasets(self._client.datasets)

    @cached_property
    def datapoints(self) -> RawDatapoints:
        """The calls of `Evrun.datapoints`, with their answers."""
        return RawDatapoints(self._client.datapoints)

    @cached_property
    def evaluators(self) -> RawEvaluators:
        """The calls of `Evrun.evaluators`, with their answers."""
        return RawEvaluators(self._client.evaluators)

    @cached_property
    def model_configs(self) -> RawModelConfigs:
        """The calls of `Evrun.model_configs`, with their answers."""
        return RawModelConfigs(self._client.model_configs)

    @cached_property
    def logs(self) -> RawLogs:
        """The calls of `Evrun.logs`, with their answers."""
        return RawLogs(self._client.logs)

    @cached_property
    def sessions(self) -> RawSessions:
        """The calls of `Evrun.sessions`, with their answers."""
        return RawSessions(self._client.sessions)
