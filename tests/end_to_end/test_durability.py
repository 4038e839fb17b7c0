"""What was acknowledged is there, whatever happens to the server."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from commands import COMMAND, environment, new_key
from test_serve import prepare

from evrun import Evrun, TransportError

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 12
WRITERS = 8
SEED = 20_241_124


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the server on `port`; its clients wait for it."""
    return subprocess.Popen(
        [COMMAND, "serve", "--port", str(port)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(client: Evrun) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            client.projects.list(size=1)
        except TransportError:
            assert time.monotonic() < deadline, "the server did not come back"
            time.sleep(0.05)
        else:
            return


class Writers:
    """Threads that log numbered outputs, and remember which ones were acknowledged."""

    def __init__(self, client: Evrun, run_id: str, datapoint_id: str) -> None:
        self._client, self._run_id, self._datapoint_id = client, run_id, datapoint_id
        self._counter = iter(range(10**9))
        self._lock = threading.Lock()
        self.tried: set[str] = set()
        self.acknowledged: dict[str, str] = {}

    def write_until(self, stopped: threading.Event) -> None:
        """Log until told to stop; a lost answer is counted as tried."""
        while not stopped.is_set():
            with self._lock:
                output = f"output {next(self._counter)}"
                self.tried.add(output)
            try:
                logged = self._client.evaluations.log(
                    self._run_id, datapoint_id=self._datapoint_id, log={"output": output}
                )
            except TransportError:
                time.sleep(0.01)
            else:
                with self._lock:
                    self.acknowledged[output] = logged.id


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_killed_server_loses_nothing_that_it_acknowledged(
    tmp_path: Path, free_tcp_port: int
) -> None:
    """After kill -9 at random moments under load, each acknowledged log is stored exactly once."""
    moments = random.Random(SEED)  # noqa: S311 - no secret
    key = new_key(tmp_path)
    server = start(tmp_path, free_tcp_port)
    base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
    try:
        with Evrun(api_key=key, base_url=base_url, timeout=20) as client:
            wait_for(client)
            prepared = prepare(client)
            client.run(prepared["run_id"]).start()
            writers = Writers(client, prepared["run_id"], prepared["datapoint_ids"][0])
            for _ in range(ROUNDS):
                stopped = threading.Event()
                threads = [
                    threading.Thread(target=writers.write_until, args=(stopped,))
                    for _ in range(WRITERS)
                ]
                for thread in threads:
                    thread.start()
                time.sleep(moments.uniform(0.2, 1.2))
                server.kill()
                server.wait()
                stopped.set()
                for thread in threads:
                    thread.join()
                server = start(tmp_path, free_tcp_port)
                wait_for(client)
            stored = all_logs(client, prepared["project_id"])
    finally:
        server.kill()
        server.wait()
    outputs = list(stored.values())
    assert len(writers.acknowledged) > ROUNDS * WRITERS
    assert len(set(outputs)) == len(outputs), "an output is stored twice"
    assert set(outputs) <= writers.tried
    for output, log_id in writers.acknowledged.items():
        assert stored.get(log_id) == output
    # Only what was under way at a kill may be stored without its caller knowing.
    assert len(outputs) - len(writers.acknowledged) <= ROUNDS * WRITERS


def all_logs(client: Evrun, project_id: str) -> dict[str, str | None]:
    """Return the outputs of a project's logs by id."""
    found: dict[str, str | None] = {}
    page = 0
    while True:
        records = client.logs.list(project_id, page=page, size=1000).records
        if not records:
            return found
        found |= {log.id: log.output for log in records}
        page += 1
