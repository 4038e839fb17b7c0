"""Send datapoints in batches, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evrun._base.headers import IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from evrun import Evrun
    from evrun.transfer.ledger import Ledger
    from evrun.transfer.records import Record

_AT_A_TIME = 100
_FIELDS = ("inputs", "messages", "target")


class Rows:
    """Datapoints of one dataset that wait to be sent together."""

    def __init__(self, client: Evrun, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self._waiting: list[Record] = []

    def add(self, record: Record) -> bool:
        """Queue a datapoint, unless it was sent. Return whether it was queued."""
        if self._ledger.get("datapoint", record["id"]) is not None:
            return False
        other = self._waiting and self._waiting[0]["dataset_id"] != record["dataset_id"]
        if other or len(self._waiting) >= _AT_A_TIME:
            self.flush()
        self._waiting.append(record)
        return True

    def flush(self) -> None:
        """Send the queue."""
        if not self._waiting:
            return
        dataset_id = self._ledger.get("dataset", self._waiting[0]["dataset_id"]) or ""
        # An import that continues sends the same batch: the datapoints that are not in the ledger.
        key = self._ledger.key("datapoint", " ".join(each["id"] for each in self._waiting))
        client = self._client.with_options(extra_headers={IDEMPOTENCY_KEY: key})
        made = client.datasets.create_datapoints(
            dataset_id,
            datapoints=[
                {name: each[name] for name in _FIELDS if name in each} for each in self._waiting
            ],
        )
        with self._ledger.together():
            for old, new in zip(self._waiting, made, strict=True):
                self._ledger.put("datapoint", old["id"], new.id)
        self._waiting = []
