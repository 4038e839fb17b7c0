# Derived by scripts/derive_async.py from overlays/evrun/raw.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""`client.with_raw_response`: the same calls, with the answer as it came beside the result.

The calls are awaited.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from evrun.raw import async_raw

if TYPE_CHECKING:
    from evrun.aio.datapoints import AsyncDatapoints
    from evrun.aio.datasets import AsyncDatasets
    from evrun.aio.evaluations import AsyncEvaluations
    from evrun.aio.evaluators import AsyncEvaluators
    from evrun.aio.logs import AsyncLogs
    from evrun.aio.model_configs import AsyncModelConfigs
    from evrun.aio.projects import AsyncProjects
    from evrun.aio.sessions import AsyncSessions


class AsyncRawEvaluations:
    """The calls of `AsyncEvaluations`, with their answers."""

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
    """The calls of `AsyncProjects`, with their answers."""

    def __init__(self, projects: AsyncProjects) -> None:
        self.create = async_raw(projects.create)
        self.get = async_raw(projects.get)
        self.list = async_raw(projects.list)


class AsyncRawDatasets:
    """The calls of `AsyncDatasets`, with their answers."""

    def __init__(self, datasets: AsyncDatasets) -> None:
        self.create = async_raw(datasets.create)
        self.get = async_raw(datasets.get)
        self.list = async_raw(datasets.list)
        self.list_datapoints = async_raw(datasets.list_datapoints)
        self.create_datapoints = async_raw(datasets.create_datapoints)
        self.create_datapoints_from_logs = async_raw(datasets.create_datapoints_from_logs)


class AsyncRawDatapoints:
    """The calls of `AsyncDatapoints`, with their answers."""

    def __init__(self, datapoints: AsyncDatapoints) -> None:
        self.get = async_raw(datapoints.get)


class AsyncRawEvaluators:
    """The calls of `AsyncEvaluators`, with their answers."""

    def __init__(self, evaluators: AsyncEvaluators) -> None:
        self.create = async_raw(evaluators.create)
        self.get = async_raw(evaluators.get)
        self.list = async_raw(evaluators.list)
        self.update = async_raw(evaluators.update)
        self.delete = async_raw(evaluators.delete)


class AsyncRawModelConfigs:
    """The calls of `AsyncModelConfigs`, with their answers."""

    def __init__(self, model_configs: AsyncModelConfigs) -> None:
        self.register = async_raw(model_configs.register)
        self.get = async_raw(model_configs.get)


class AsyncRawLogs:
    """The calls of `AsyncLogs`, with their answers."""

    def __init__(self, logs: AsyncLogs) -> None:
        self.get = async_raw(logs.get)
        self.list = async_raw(logs.list)
        self.update = async_raw(logs.update)
        self.update_by_reference = async_raw(logs.update_by_reference)


class AsyncRawSessions:
    """The calls of `AsyncSessions`, with their answers."""

    def __init__(self, sessions: AsyncSessions) -> None:
        self.create = async_raw(sessions.create)
        self.get = async_raw(sessions.get)
        self.list = async_raw(sessions.list)


class AsyncResources(Protocol):
    """What a client has, of which this makes the raw form."""

    @cached_property
    def evaluations(self) -> AsyncEvaluations: ...
    @cached_property
    def projects(self) -> AsyncProjects: ...
    @cached_property
    def datasets(self) -> AsyncDatasets: ...
    @cached_property
    def datapoints(self) -> AsyncDatapoints: ...
    @cached_property
    def evaluators(self) -> AsyncEvaluators: ...
    @cached_property
    def model_configs(self) -> AsyncModelConfigs: ...
    @cached_property
    def logs(self) -> AsyncLogs: ...
    @cached_property
    def sessions(self) -> AsyncSessions: ...


class AsyncRawEvrun:
    """The resources of an `AsyncEvrun`, with the answers."""

    def __init__(self, client: AsyncResources) -> None:
        self._client = client

    @cached_property
    def evaluations(self) -> AsyncRawEvaluations:
        """The calls of `AsyncEvrun.evaluations`, with their answers."""
        return AsyncRawEvaluations(self._client.evaluations)

    @cached_property
    def projects(self) -> AsyncRawProjects:
        """The calls of `AsyncEvrun.projects`, with their answers."""
        return AsyncRawProjects(self._client.projects)

    @cached_property
    def datasets(self) -> AsyncRawDatasets:
        """The calls of `AsyncEvrun.datasets`, with their answers."""
        return AsyncRawDatasets(self._client.datasets)

    @cached_property
    def datapoints(self) -> AsyncRawDatapoints:
        """The calls of `AsyncEvrun.datapoints`, with their answers."""
        return AsyncRawDatapoints(self._client.datapoints)

    @cached_property
    def evaluators(self) -> AsyncRawEvaluators:
        """The calls of `AsyncEvrun.evaluators`, with their answers."""
        return AsyncRawEvaluators(self._client.evaluators)

    @cached_property
    def model_configs(self) -> AsyncRawModelConfigs:
        """The calls of `AsyncEvrun.model_configs`, with their answers."""
        return AsyncRawModelConfigs(self._client.model_configs)

    @cached_property
    def logs(self) -> AsyncRawLogs:
        """The calls of `AsyncEvrun.logs`, with their answers."""
        return AsyncRawLogs(self._client.logs)

    @cached_property
    def sessions(self) -> AsyncRawSessions:
        """The calls of `AsyncEvrun.sessions`, with their answers."""
        return AsyncRawSessions(self._client.sessions)
