"""Single datapoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun._calls.call import Call, bind
from evrun.ids import DatapointId, PlainStr
from evrun.results import Datapoint
from evrun_api.api.datapoints import datapoints_get

if TYPE_CHECKING:
    from evrun_api import AuthenticatedClient


class DatapointCalls:
    """One method for each operation; `Datapoints` documents the arguments."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._client = client

    def get(self, datapoint_id: object) -> Call[Datapoint]:
        return bind(
            Datapoint,
            datapoints_get.sync_detailed,
            datapoints_get.asyncio_detailed,
            DatapointId.parse(datapoint_id, "datapoint_id"),
            client=self._client,
        )


class Datapoints:
    """The operations on single datapoints: `client.datapoints`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = DatapointCalls(client)

    def get(self, datapoint_id: DatapointId | PlainStr) -> Datapoint:
        """Return a datapoint."""
        return self._calls.get(datapoint_id).run()
