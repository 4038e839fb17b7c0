"""Send logs in batches, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun import Evrun
    from evrun.logged import LoggedItem
    from evrun.transfer.ledger import Ledger
    from evrun.transfer.records import Record

_AT_A_TIME = 250


class Logs:
    """Logs of one run that wait to be sent together."""

    def __init__(self, client: Evrun, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self._run_id = ""
        self._waiting: dict[str, tuple[Record, dict[str, Any]]] = {}

    def holds(self, log_id: str | None) -> bool:
        """Return whether a log is in the queue."""
        return log_id in self._waiting

    def takes(self, run_id: str) -> bool:
        """Return whether the queue has room for another log of that run."""
        return not self._waiting or (run_id == self._run_id and len(self._waiting) < _AT_A_TIME)

    def add(self, run_id: str, record: Record, datapoint_id: str, log: dict[str, Any]) -> None:
        """Queue a log."""
        self._run_id = run_id
        key = self._ledger.key("log", record["id"])
        item = {"datapoint_id": datapoint_id, "log": log, "idempotency_key": key}
        self._waiting[record["id"]] = record, item

    def send(self) -> Iterator[tuple[Record, LoggedItem]]:
        """Empty the queue, and yield the outcome of each log."""
        waiting, self._waiting = list(self._waiting.values()), {}
        if waiting:
            items = (item for _, item in waiting)
            for done in self._client.evaluations.iter_log_many(self._run_id, items):
                yield waiting[done.index][0], done
