"""Threads that log to a server until told to stop, and remember what they were answered."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from attrs import Factory, define, frozen

from _support.running_run import prepare
from evrun import Evrun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sized

SESSIONS = 7
"""How many sessions the logs share."""
BATCH = 40
"""Logs in one request of those that send several."""


@frozen
class Refusal:
    """An answer that was no success."""

    status: int
    retry_after: str | None
    detail: Any


@define
class Load:
    """What is logged to one run, and what became of it.

    Each log has an idempotency key of its own, under which it is sent until it is acknowledged.
    """

    base_url: str
    key: str
    project_id: str
    run_id: str
    datapoint_ids: tuple[str, ...]
    padding: str = ""
    """What makes each log longer."""
    acknowledged: dict[str, str] = Factory(dict)
    """Log ids by idempotency key."""
    refusals: list[Refusal] = Factory(list)
    lost: int = 0
    """Requests that got no answer."""
    batches: list[list[int]] = Factory(list)
    """The logs that went together, by their numbers."""
    lost_batches: int = 0
    """Requests with several logs that got no answer."""
    _numbers: Iterator[int] = Factory(itertools.count)
    _failures: list[BaseException] = Factory(list)
    _lock: threading.Lock = Factory(threading.Lock)

    @contextmanager
    def running(self, writers: int = 6, *, batching: int = 0) -> Iterator[None]:
        """Log from several threads meanwhile; in the end each brings to its end what it began.

        `batching` more threads send several logs in each request.
        """
        stopped = threading.Event()

        def write(log: Callable[[httpx.Client], None]) -> None:
            try:
                with httpx.Client(timeout=60) as http:
                    while not stopped.is_set():
                        log(http)
            except BaseException as failure:  # noqa: BLE001 - raised below, where it is seen
                self._failures.append(failure)

        kinds = [self._log] * writers + [self._log_batch] * batching
        threads = [threading.Thread(target=write, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        except BaseException as failure:
            self._failures.append(failure)
            raise
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
        if self._failures:
            raise self._failures[0]

    def progress(self, logs: int = 30) -> None:
        """Wait until so many more logs are acknowledged."""
        self._wait_for(self.acknowledged, logs)

    def refused(self, times: int = 10) -> None:
        """Wait until so many more requests are refused."""
        self._wait_for(self.refusals, times)

    def _wait_for(self, answers: Sized, more: int) -> None:
        enough = len(answers) + more
        while len(answers) < enough:
            assert not self._failures, "a writer gave up"
            time.sleep(0.01)

    def many(self, logs: int) -> Callable[[], httpx.Response]:
        """Return a call that sends so many logs in one request, the same ones each time."""
        with self._lock:
            numbers = [next(self._numbers) for _ in range(logs)]
            self.batches.append(numbers)
        body = {"logs": [{**self.body(n), "idempotency_key": f"log-{n}"} for n in numbers]}
        path = f"{self.base_url}/evaluations/{self.run_id}/logs"

        def send() -> httpx.Response:
            headers = {"X-API-KEY": self.key}
            answer = httpx.post(path, json=body, headers=headers, timeout=60)
            with self._lock:
                if answer.is_success:
                    for number, each in zip(numbers, answer.json()["results"], strict=True):
                        self.acknowledged[f"log-{number}"] = each["log"]["id"]
                else:
                    self._refuse(answer)
            return answer

        return send

    def body(self, number: int) -> dict[str, Any]:
        """Return the log of a number, in which everything follows from the number."""
        return {
            "datapoint_id": self.datapoint_ids[number % len(self.datapoint_ids)],
            "log": {
                "output": f"output {number}",
                "inputs": {"padding": self.padding},
                "session_reference_id": f"session {number % SESSIONS}",
                "feedback": [{"type": "rating", "value": "good"}],
            },
        }

    def headers(self, number: int) -> dict[str, str]:
        """Return who logs, and under which key."""
        return {"X-API-KEY": self.key, "Idempotency-Key": f"log-{number}"}

    def _log(self, http: httpx.Client) -> None:
        with self._lock:
            number = next(self._numbers)
        path = f"{self.base_url}/evaluations/{self.run_id}/log"
        while not self._failures:
            try:
                answer = http.post(path, json=self.body(number), headers=self.headers(number))
            except httpx.TransportError:
                with self._lock:
                    self.lost += 1
            else:
                with self._lock:
                    if answer.status_code == 201:
                        self.acknowledged[f"log-{number}"] = answer.json()["id"]
                        return
                    self._refuse(answer)
            time.sleep(0.05)

    def _log_batch(self, _: httpx.Client) -> None:
        send = self.many(BATCH)
        while not self._failures:
            try:
                if send().is_success:
                    return
            except httpx.TransportError:
                with self._lock:
                    self.lost += 1
                    self.lost_batches += 1
            time.sleep(0.05)

    def _refuse(self, answer: httpx.Response) -> None:
        time_to_wait = answer.headers.get("Retry-After")
        self.refusals.append(Refusal(answer.status_code, time_to_wait, answer.json()["detail"]))


def load_on(base_url: str, key: str, **options: Any) -> Load:
    """Make a run that is running, and return a load on it."""
    with Evrun(api_key=key, base_url=base_url) as client:
        prepared = prepare(client)
        client.run(prepared["run_id"]).start()
    return Load(
        base_url=base_url,
        key=key,
        project_id=prepared["project_id"],
        run_id=prepared["run_id"],
        datapoint_ids=prepared["datapoint_ids"],
        **options,
    )
