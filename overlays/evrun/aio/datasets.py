# Derived by scripts/derive_async.py from overlays/evrun/resources/datasets.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Datasets: the datapoints that runs are evaluated on.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evrun.resources.datasets import DatasetCalls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from evrun.ids import DatasetId, LogId, PlainStr, ProjectId
    from evrun.results import Datapoint, Dataset, Page
    from evrun_api import AuthenticatedClient
    from evrun_api.models import (
        CreateDatapointRequest,
    )


class AsyncDatasets:
    """The operations on datasets: `client.datasets`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = DatasetCalls(client)

    async def create(
        self,
        project_id: ProjectId | PlainStr,
        *,
        name: str,
        description: str,
    ) -> Dataset:
        """Create an empty dataset."""
        return await self._calls.create(project_id, name=name, description=description).run_async()

    async def get(self, dataset_id: DatasetId | PlainStr) -> Dataset:
        """Return a dataset."""
        return await self._calls.get(dataset_id).run_async()

    async def list(self) -> tuple[Dataset, ...]:
        """Return all datasets of the organisation."""
        return await self._calls.list().run_async()

    async def list_datapoints(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        page: int = 0,
        size: int = 50,
        cursor: str | None = None,
    ) -> Page[Datapoint]:
        """Return a page of a dataset's datapoints; pages count from 0.

        `cursor`: as in `AsyncEvaluations.list`.
        """
        return await self._calls.list_datapoints(
            dataset_id, page=page, size=size, cursor=cursor
        ).run_async()

    def iter_datapoints(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        page_size: int = 100,
    ) -> AsyncIterator[Datapoint]:
        """Yield a dataset's datapoints, a request for each `page_size` of them.

        Datapoints that are added meanwhile come too, at the end.
        """
        return self._calls.list_datapoints(dataset_id, page=0, size=page_size).records_async()

    async def create_datapoints(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        datapoints: Iterable[CreateDatapointRequest | Mapping[str, Any]],
    ) -> tuple[Datapoint, ...]:
        """Add datapoints: mappings with any of `inputs`, `messages` and `target`.

        Runs that exist already keep the dataset as it was.
        """
        return await self._calls.create_datapoints(dataset_id, datapoints=datapoints).run_async()

    async def create_datapoints_from_logs(
        self,
        dataset_id: DatasetId | PlainStr,
        *,
        log_ids: Iterable[LogId | PlainStr],
    ) -> tuple[Datapoint, ...]:
        """Add datapoints with the inputs and messages of logs, and their output as the target."""
        return await self._calls.create_datapoints_from_logs(
            dataset_id, log_ids=log_ids
        ).run_async()
