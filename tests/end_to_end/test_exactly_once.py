from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from commands import environment, new_key
from test_durability import all_logs, start, wait_for
from test_serve import prepare

from evrun import Evrun

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 12
WRITERS = 8
SEED = 20_241_125

# The server as it is, but it dies when the answer to a log is about to leave.
DYING = """
import os, signal, sys
import uvicorn
from evrun.server import Database, create_app

app = create_app(Database("sqlite:///evrun.db"))

async def dying(scope, receive, send):
    async def last(message):
        if message["type"] == "http.response.start" and scope["path"].endswith("/log"):
            os.kill(os.getpid(), signal.SIGKILL)
        await send(message)
    await app(scope, receive, last)

uvicorn.run(dying, port=int(sys.argv[1]))
"""


def test_a_server_that_dies_between_commit_and_answer(tmp_path: Path, free_tcp_port: int) -> None:
    """Repeated after a restart, the request gets the answer that was never sent; the log is one."""
    key = new_key(tmp_path)
    base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
    server = subprocess.Popen(
        [sys.executable, "-c", DYING, str(free_tcp_port)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with (
            Evrun(api_key=key, base_url=base_url, timeout=20) as client,
            httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=20) as http,
        ):
            wait_for(client)
            prepared = prepare(client)
            client.run(prepared["run_id"]).start()
            path = f"/evaluations/{prepared['run_id']}/log"
            body = {"datapoint_id": prepared["datapoint_ids"][0], "log": {"output": "Paris"}}
            once = {"Idempotency-Key": "once"}
            with pytest.raises(httpx.RemoteProtocolError):
                http.post(path, json=body, headers=once)
            server.wait()
            server = start(tmp_path, free_tcp_port)
            wait_for(client)
            answers = [http.post(path, json=body, headers=once) for _ in range(2)]
            assert [answer.headers["Idempotent-Replayed"] for answer in answers] == ["true", "true"]
            assert all_logs(client, prepared["project_id"]) == {answers[0].json()["id"]: "Paris"}
    finally:
        server.kill()
        server.wait()


class Writers:
    """Threads that log numbered outputs, each until it is acknowledged, under a key of its own."""

    def __init__(self, http: httpx.Client, run_id: str, datapoint_id: str) -> None:
        self._http, self._datapoint_id = http, datapoint_id
        self._path = f"/evaluations/{run_id}/log"
        self._counter = iter(range(10**9))
        self._lock = threading.Lock()
        self.acknowledged: dict[str, str] = {}

    def write_until(self, stopped: threading.Event) -> None:
        """Log until told to stop; what was begun is brought to its end."""
        while not stopped.is_set():
            with self._lock:
                output = f"output {next(self._counter)}"
            answer = self._write(output)
            with self._lock:
                self.acknowledged[answer.json()["id"]] = output

    def _write(self, output: str) -> httpx.Response:
        body = {"datapoint_id": self._datapoint_id, "log": {"output": output}}
        headers = {"Idempotency-Key": output.replace(" ", "-")}
        while True:
            try:
                answer = self._http.post(self._path, json=body, headers=headers)
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                assert answer.status_code == 201, answer.text
                return answer


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_whatever_is_killed_each_key_has_exactly_one_log(
    tmp_path: Path, free_tcp_port: int
) -> None:
    """Kill -9 at random moments: what was repeated until acknowledged is stored once, all of it."""
    moments = random.Random(SEED)  # noqa: S311 - no secret
    key = new_key(tmp_path)
    server = start(tmp_path, free_tcp_port)
    try:
        base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
        with (
            Evrun(api_key=key, base_url=base_url, timeout=20) as client,
            httpx.Client(base_url=base_url, headers={"X-API-KEY": key}, timeout=20) as http,
        ):
            wait_for(client)
            prepared = prepare(client)
            client.run(prepared["run_id"]).start()
            writers = Writers(http, prepared["run_id"], prepared["datapoint_ids"][0])
            stopped = threading.Event()
            threads = [
                threading.Thread(target=writers.write_until, args=(stopped,))
                for _ in range(WRITERS)
            ]
            for thread in threads:
                thread.start()
            for _ in range(ROUNDS):
                time.sleep(moments.uniform(0.2, 1.2))
                server.kill()
                server.wait()
                server = start(tmp_path, free_tcp_port)
                wait_for(client)
            stopped.set()
            for thread in threads:
                thread.join()
            stored = all_logs(client, prepared["project_id"])
    finally:
        server.kill()
        server.wait()
    assert stored == writers.acknowledged
    assert len(stored) > ROUNDS * WRITERS
