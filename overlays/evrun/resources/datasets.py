"""Datasets: the datapoints that runs are evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evrun._calls import bodies
from evrun._calls.arguments import given_text, id_list, listed
from evrun._calls.call import Call, bind
from evrun.errors import InvalidRequestError
from evrun.ids import DatasetId, LogId, PlainStr, ProjectId
from evrun.results import Datapoint, Dataset, Page
from evrun_api.api.datasets import (
    datasets_create,
    datasets_create_datapoint,
    datasets_get,
    datasets_list,
    datasets_list_datapoints,
)
from evrun_api.models import (
    CreateDatapointRequest,
    CreateDatapointsByLogsRequest,
    CreateDatasetRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evrun_api import AuthenticatedClient


Body = list[CreateDatapointRequest] | CreateDatapointsByLogsRequest


class DatasetCalls:
    """One method for each operation; `Datasets` documents the arguments."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def create(self, project_id: object, *, name: str, description: str) -> Call[Dataset]:
        return bind(
            Dataset,
            datasets_create.sync_detailed,
            datasets_create.asyncio_detailed,
            ProjectId.parse(project_id, "project_id"),
            client=self._client,
            body=bodies.checked(CreateDatasetRequest(name=name, description=description)),
        )

    def get(self, dataset_id: object) -> Call[Dataset]:
        return bind(
            Dataset,
            datasets_get.sync_detailed,
            datasets_get.asyncio_detailed,
            DatasetId.parse(dataset_id, "dataset_id"),
            client=self._client,
        )

    def list(self) -> Call[tuple[Dataset, ...]]:
        return bind(
            tuple[Dataset, ...],
            datasets_list.sync_detailed,
            datasets_list.asyncio_detailed,
            client=self._client,
        )

    def list_datapoints(
        self, dataset_id: object, *, page: int, size: int, cursor: str | None = None
    ) -> Call[Page[Datapoint]]:
        return bind(
            Page[Datapoint],
            datasets_list_datapoints.sync_detailed,
            datasets_list_datapoints.asyncio_detailed,
            DatasetId.parse(dataset_id, "dataset_id"),
            client=self._client,
            page=page,
            size=size,
            cursor=given_text(cursor, "cursor"),
        )

    def create_datapoints(
        self,
        dataset_id: object,
        *,
        datapoints: Iterable[CreateDatapointRequest | Mapping[str, Any]],
    ) -> Call[tuple[Datapoint, ...]]:
        if isinstance(datapoints, Mapping):
            raise InvalidRequestError(
                "datapoints: got one mapping, expected a list. Put brackets around it.",
                parameter="datapoints",
            )
        return self._create(
            dataset_id,
            [
                bodies.body(CreateDatapointRequest, row, {}, f"datapoints[{index}]")
                for index, row in enumerate(listed(datapoints, "datapoints"))
            ],
        )

    def create_datapoints_from_logs(
        self, dataset_id: object, *, log_ids: Iterable[object]
    ) -> Call[tuple[Datapoint, ...]]:
        ids = id_list(LogId, log_ids, "log_ids")
        return self._create(dataset_id, CreateDatapointsByLogsRequest(log_ids=ids))

    def _create(
        self,
        dataset_id: object,
        body: Body,
    ) -> Call[tuple[Datapoint, ...]]:
        return bind(
            tuple[Datapoint, ...],
            datasets_create_datapoint.sync_detailed,
            datasets_create_datapoint.asyncio_detailed,
            DatasetId.parse(dataset_id, "dataset_id"),
            client=self._client,
            body=body,
        )


class Datasets:
    """The operations on datasets: `client.datasets`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = DatasetCalls(client)

    def create(
        self,
        project_id: ProjectId | PlainStr,
        *,
        name: str,
        description: str,
    ) -> Dataset:
        """Create an empty dataset."""
        return self._calls.create(project_id, name=name, description=description).run()

    def get(self, dataset_id: DatasetId | PlainStr) -> Dataset:
        """Return a dataset."""
        return self._calls.get(dataset_id).run()

    def list(self) -> tuple[Dataset, ...]:
        """Return all datasets of the organisation."""
        return self._calls.list().run()

    def list_datapoints(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        page: int = 0,
        size: int = 50,
        cursor: str | None = None,
    ) -> Page[Datapoint]:
        """Return a page of a dataset's datapoints; pages count from 0.

        `cursor`: as in `Evaluations.list`.
        """
        return self._calls.list_datapoints(dataset_id, page=page, size=size, cursor=cursor).run()

    def iter_datapoints(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        page_size: int = 100,
    ) -> Iterator[Datapoint]:
        """Yield a dataset's datapoints, a request for each `page_size` of them.

        Datapoints that are added meanwhile come too, at the end.
        """
        return self._calls.list_datapoints(dataset_id, page=0, size=page_size).records()

    def create_datapoints(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        datapoints: Iterable[CreateDatapointRequest | Mapping[str, Any]],
    ) -> tuple[Datapoint, ...]:
        """Add datapoints: mappings with any of `inputs`, `messages` and `target`.

        Runs that exist already keep the dataset as it was.
        """
        return self._calls.create_datapoints(dataset_id, datapoints=datapoints).run()

    def create_datapoints_from_logs(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        log_ids: Iterable[LogId | PlainStr],
    ) -> tuple[Datapoint, ...]:
        """Add datapoints with the inputs and messages of logs, and their output as the target."""
        return self._calls.create_datapoints_from_logs(dataset_id, log_ids=log_ids).run()
