# Derived by scripts/derive_async.py from overlays/evrun/resources/datapoints.py.
# Do not edit: change that file and run `python scripts/derive_async.py`.

"""Single datapoints.

The calls are awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun.resources.datapoints import DatapointCalls

if TYPE_CHECKING:
    from evrun.ids import DatapointId, PlainStr
    from evrun.results import Datapoint
    from evrun_api import AuthenticatedClient


class AsyncDatapoints:
    """The operations on single datapoints: `client.datapoints`."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self._calls = DatapointCalls(client)

    async def get(self, datapoint_id: DatapointId | PlainStr) -> Datapoint:
        """Return a datapoint."""
        return await self._calls.get(datapoint_id).run_async()
