"""How many logs the server takes: over a socket, durable before each answer."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import TYPE_CHECKING

from _benchmark.case import Figure, Unusable
from _benchmark.runs import start_run
from evrun import Evrun
from evrun.server import Database, create_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _benchmark.case import Inputs

CONNECTIONS = 64
LOGS = 1280  # in one measurement
OUTPUT = "x" * 800

# `evrun serve`, with as many writes in one commit as the first argument says.
SERVER = """
import socket, sys
from evrun.server import group_commit
from evrun.server.serving import Settings, serve
group_commit.BATCH = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
print(listener.getsockname()[1], flush=True)
serve(sys.argv[2], listener, Settings(access_log="off"))
"""


def writes(inputs: Inputs) -> list[Figure]:
    """Log at 64 connections: committed together, and one commit for each request."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/evals.db"
        key = _key(url)
        rates: dict[int, list[float]] = {1: [], 128: []}
        for _ in range(inputs.repeat):
            for batch, measured in rates.items():  # in turn: both meet the same machine
                measured.append(_rate(url, key, batch))
    single, together = (median(measured) for measured in rates.values())
    return [
        Figure(f"writes: logs at {CONNECTIONS} connections", together, "/s"),
        Figure("writes: the same, over one commit for each", together / single, "x", at_least=3),
    ]


def _key(url: str) -> str:
    database = Database(url)
    key = create_key(database, "benchmark")
    database.close()
    return key


def _rate(url: str, key: str, batch: int) -> float:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(batch), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            port = int(process.stdout.readline())
            requests = list(_requests(f"http://127.0.0.1:{port}/v4", key))
            start = time.perf_counter()
            asyncio.run(_send(port, requests))
            return LOGS / (time.perf_counter() - start)
        finally:
            process.terminate()


def _requests(base_url: str, key: str) -> Iterator[bytes]:
    """Make a run, and return the requests that log to it, as they go over the wire."""
    with Evrun(api_key=key, base_url=base_url) as client:
        run = start_run(client)
    for number in range(LOGS):
        datapoint_id = run.datapoint_ids[number % len(run.datapoint_ids)]
        body = {"datapoint_id": datapoint_id, "log": {"output": OUTPUT}}
        content = json.dumps(body).encode()
        head = (
            f"POST /v4/evaluations/{run.id}/log HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-KEY: {key}\r\n"
            f"Idempotency-Key: {run.id}-{number}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        yield head.encode() + content


async def _send(port: int, waiting: list[bytes]) -> None:
    """Send all requests; every connection takes the next one when it has its answer."""

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            writer.write(waiting.pop())
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            content = await reader.readexactly(int(length[1]) if length else 0)
            if b" 201 " not in head.partition(b"\r\n")[0]:
                raise Unusable(f"a log was refused: {content.decode()}")
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
