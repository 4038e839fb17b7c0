"""How many logs the server takes: over a socket, durable before each answer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import TYPE_CHECKING

from attrs import frozen

from _benchmark.case import Figure, Unusable
from _benchmark.runs import start_run
from evrun import Evrun
from evrun.server import Database, create_key
from evrun.server.db.group_commit import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _benchmark.case import Inputs

CONNECTIONS = 64
LOGS = 320  # in one measurement
ROUNDS = 4  # for each repetition: a short one meets a busy machine or does not
WARM = 256  # before the first: a server's first answers compile statements and open files
OUTPUT = "x" * 800

# `evrun serve`, with as many writes in one commit as the first argument says.
SERVER = """
import sys
from evrun.server import Database
from evrun.server.db import group_commit
from evrun.server.hosting.serve import Settings, listen, serve
group_commit.BATCH = int(sys.argv[1])
listener = listen("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
serve(Database(sys.argv[2]), listener, Settings(access_log="off"))
"""


def writes(inputs: Inputs) -> list[Figure]:
    """Log at 64 connections: committed together, and one commit for each request."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        single, together = (servers.enter_context(_running(folder, each)) for each in (1, BATCH))
        for server in (single, together):
            server.rate(WARM)
        rates, ratios = [], []
        for _ in range(ROUNDS * inputs.repeat):  # in turn: both meet the same machine
            alone = single.rate(LOGS)
            rates.append(together.rate(LOGS))
            ratios.append(rates[-1] / alone)
    return [
        Figure(f"writes: logs at {CONNECTIONS} connections", median(rates), "/s"),
        Figure("writes: the same, over one commit for each", median(ratios), "x", at_least=3),
    ]


@frozen
class _Server:
    port: int
    key: str

    def rate(self, logs: int) -> float:
        """Return how many logs a second it takes, of so many."""
        requests = list(_requests(f"http://127.0.0.1:{self.port}/v4", self.key, logs))
        return logs / asyncio.run(_send(self.port, requests))


@contextmanager
def _running(folder: str, batch: int) -> Iterator[_Server]:
    url = f"sqlite:///{folder}/{batch}.db"
    database = Database(url)
    key = create_key(database, "benchmark")
    database.close()
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(batch), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield _Server(int(process.stdout.readline()), key)
        finally:
            process.terminate()


def _requests(base_url: str, key: str, logs: int) -> Iterator[bytes]:
    """Make a run, and return the requests that log to it, as they go over the wire."""
    with Evrun(api_key=key, base_url=base_url) as client:
        run = start_run(client)
    for number in range(logs):
        datapoint_id = run.datapoint_ids[number % len(run.datapoint_ids)]
        body = {"datapoint_id": datapoint_id, "log": {"output": OUTPUT}}
        content = json.dumps(body).encode()
        head = (
            f"POST /v4/evaluations/{run.id}/log HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-KEY: {key}\r\n"
            f"Idempotency-Key: {run.id}-{number}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        yield head.encode() + content


async def _send(port: int, waiting: list[bytes]) -> float:
    """Send all requests; every connection takes the next one when it has its answer.

    Return the seconds that it took, once all were connected.
    """
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: _Connection(waiting), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    start = time.perf_counter()
    for connection in connections:
        connection.next()
    await asyncio.gather(*(connection.done for connection in connections))
    return time.perf_counter() - start


class _Connection(asyncio.Protocol):
    """A client that costs little, so that the server is what is measured."""

    def __init__(self, waiting: list[bytes]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a socket's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, content = self._received.partition(b"\r\n\r\n")
        if not end or len(content) < int(head.lower().partition(b"content-length: ")[2].split()[0]):
            return
        if not head.startswith(b"HTTP/1.1 201 "):
            self.done.set_exception(Unusable(f"a log was refused: {content.decode()}"))
            return
        self._received = b""
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or Unusable("the server hung up"))

    def next(self) -> None:
        """Send a request that waits, or be done."""
        if self._waiting:
            self._transport.write(self._waiting.pop())
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()
