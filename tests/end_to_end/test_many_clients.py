"""200 clients at a time for a minute: no error, nothing lost, nothing twice, and nothing grows."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
import uuid
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest
from attrs import Factory, define, frozen
from sqlalchemy import make_url

from _support.acknowledged import all_logs
from _support.commands import new_key
from _support.databases import KINDS, fresh
from _support.raw_http import replies
from _support.running_run import prepare
from _support.serve_process import Service, eventually, metrics, service
from evrun import Evrun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 200
ATTEMPTS = 5
BEFORE = 10_000
"""Logs that are there before."""
SECONDS = 60
MIB = 1024 * 1024
GROWTH = {"sqlite": 32 * MIB, "postgresql": 6 * MIB}
"""What may still come after the warm-up: SQLite's caches, one for each connection, are memory of
this process. A server that keeps 2 KiB of each request takes more of PostgreSQL's share."""


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with fresh(request, tmp_path / "evals.db") as url:
        yield url


class Connection:
    """One client's connection: HTTP by hand, since 200 real clients would wait for themselves."""

    def __init__(self, base_url: str, key: str) -> None:
        self._address = urlsplit(base_url)
        self._key = key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of a success; ask again, as is documented, after 429, 503 and a loss."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {self._address.path}{path} HTTP/1.1\r\nHost: {self._address.netloc}\r\n"
            f"X-API-KEY: {self._key}\r\nContent-Length: {len(content)}\r\n"
            f"Idempotency-Key: {uuid.uuid4()}\r\n\r\n"
        )
        for _ in range(ATTEMPTS):
            try:
                status, headers, answer = await self._exchange(head.encode() + content)
            except (ConnectionError, asyncio.IncompleteReadError):
                await self.close()
                continue
            if status not in {429, 503}:
                assert status in {200, 201}, answer
                return json.loads(answer)
            await asyncio.sleep(int(headers["retry-after"]))
        raise AssertionError(f"{method} {path} was in vain {ATTEMPTS} times")

    async def _exchange(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            assert self._address.hostname is not None
            host, port = self._address.hostname, self._address.port
            self._streams = await asyncio.open_connection(host, port)
        reader, writer = self._streams
        writer.write(content)
        head = await reader.readuntil(b"\r\n\r\n")
        (reply,) = replies(head)
        body = await reader.readexactly(int(reply.headers["content-length"]))
        return reply.status, reply.headers, body

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@define
class Load:
    """Clients that log, read back what they logged, and list, until they are told to stop."""

    base_url: str
    key: str
    prepared: dict[str, Any]
    logged: dict[str, str] = Factory(dict)
    """The output of each acknowledged log, by its id."""
    stop: threading.Event = Factory(threading.Event)
    failed: list[BaseException] = Factory(list)

    def run(self) -> None:
        """Run all of them. What one of them met ends them, and is in `failed`."""
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.failed.append(error)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(self._work(number))

    async def _work(self, client: int) -> None:
        connection = Connection(self.base_url, self.key)
        run = f"/evaluations/{self.prepared['run_id']}"
        rows = self.prepared["datapoint_ids"]
        for n in itertools.count():
            if self.stop.is_set():
                break
            output = f"{client}-{n}"
            body = {"datapoint_id": rows[n % len(rows)], "log": {"output": output}}
            logged = (await connection.call("POST", f"{run}/log", body))["id"]
            self.logged[logged] = output
            assert (await connection.call("GET", f"/logs/{logged}"))["output"] == output
            listing = f"/logs?project_id={self.prepared['project_id']}&size=5"
            page = await connection.call("GET", listing)
            assert len(page["records"]) == min(5, page["total"])
            assert (await connection.call("GET", f"{run}/datapoints?size=2"))["records"]
        await connection.close()


@frozen
class Sample:
    """What a server held, and had answered, at one moment."""

    resident: int
    files: int
    threads: int
    answered: dict[str, float]
    """Requests so far, by status."""
    connections: float

    @classmethod
    def take(cls, server: Service) -> Sample:
        process = psutil.Process(server.process.pid)
        found = metrics(server)
        answered: dict[str, float] = {}
        for name, value in found.items():
            if name[0] == "evrun_requests_total":
                answered[name[3]] = answered.get(name[3], 0) + value
        with process.oneshot():
            return cls(
                process.memory_info().rss,
                process.num_fds(),
                process.num_threads(),
                answered,
                found["evrun_connections",],
            )


def failing(before: Sample, after: Sample) -> float:
    """Return the share of answers between two moments that were refusals."""
    counts = {each: n - before.answered.get(each, 0) for each, n in after.answered.items()}
    refused = sum(n for status, n in counts.items() if not status.startswith("2"))
    return refused / sum(counts.values())


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_two_hundred_clients_for_a_minute(tmp_path: Path, url: str) -> None:
    """Refusals are documented, overcome and no more at the end; memory, files, threads stay."""
    key = new_key(tmp_path, database=url)
    with service(tmp_path, "--database", url, "--access-log", "off") as server:
        with Evrun(api_key=key, base_url=server.base_url) as client:
            prepared = prepare(client)
            run = client.run(prepared["run_id"])
            run.start()
            # More than SQLite's caches hold, one for each connection, so that they fill at once.
            (row, _) = prepared["datapoint_ids"]
            logs = ({"datapoint_id": row, "log": {"output": f"before {n}"}} for n in range(BEFORE))
            before = run.log_many(logs).logs
        load = Load(server.base_url, key, prepared)
        load.logged.update({log.id: f"before {n}" for n, log in enumerate(before)})
        idle = Sample.take(server)
        loader = threading.Thread(target=load.run)
        loader.start()
        samples: list[Sample] = []
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and loader.is_alive():
            time.sleep(1)
            samples.append(Sample.take(server))
        load.stop.set()
        loader.join(120)
        assert load.failed == []
        third = len(samples) // 3
        warm, late = samples[third : 2 * third], samples[2 * third :]

        assert max(each.connections for each in late) >= CLIENTS
        assert set(late[-1].answered) <= {"200", "201", "429", "503"}
        assert failing(warm[0], warm[-1]) <= 0.01
        assert failing(late[0], late[-1]) <= failing(warm[0], warm[-1]) + 0.001
        resident = [median(each.resident for each in some) for some in (warm, late)]
        assert resident[1] - resident[0] < GROWTH[make_url(url).get_backend_name()], resident
        assert max(each.threads for each in late) <= max(each.threads for each in warm)
        # Not the most: the connection that asks for the sample may still be open, or not.
        files = [median(each.files for each in some) for some in (warm, late)]
        assert files[1] <= files[0]
        # What clients took goes with them.
        eventually(lambda: Sample.take(server).connections <= idle.connections)
        assert Sample.take(server).files <= max(each.files for each in late) - CLIENTS

        with Evrun(api_key=key, base_url=server.base_url) as client:
            assert all_logs(client, prepared["project_id"]) == load.logged
        assert server.stop() == 0
    assert "Traceback" not in "\n".join(server.said)
