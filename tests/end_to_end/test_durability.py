"""What was acknowledged is there, whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from accounts import balance, no_half_batches
from commands import COMMAND, environment, new_key
from databases import KINDS, fresh
from load import load_on

from evrun import Evrun, TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 20_241_124


def start(folder: Path, port: int, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    """Start the server on `port` in a process group of its own; its clients wait for it."""
    return subprocess.Popen(
        [COMMAND, "serve", "--port", str(port), *arguments],
        cwd=folder,
        env=environment(**more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
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


def kill_all(server: subprocess.Popen[bytes]) -> None:
    """Kill the server with its workers, at once."""
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def workers_of(server: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the processes that answer for the server."""
    return [
        each
        for each in psutil.Process(server.pid).children()
        if "spawn_main" in " ".join(each.cmdline())
    ]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return where the database is: each test runs over both kinds."""
    with fresh(request, tmp_path / "evals.db") as url:
        yield url


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("url", "workers", "rounds"),
    [("sqlite", 1, 8), ("postgresql", 1, 6), ("postgresql", 2, 4)],
    indirect=["url"],
)
def test_a_killed_server_loses_nothing_that_it_acknowledged(
    url: str, workers: int, rounds: int, tmp_path: Path, free_tcp_port: int
) -> None:
    """After kill -9 at random moments under load, each log is there exactly once, and whole.

    What had no answer is sent again under its key until it has one. Logs that went together are
    there together or not at all, also before they are sent again.
    """
    moments = random.Random(SEED)  # noqa: S311 - no secret
    key = new_key(tmp_path, database=url)
    options = ("--database", url, "--workers", str(workers))
    server = start(tmp_path, free_tcp_port, *options)
    base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
    try:
        with Evrun(api_key=key, base_url=base_url, timeout=20) as client:
            wait_for(client)
            load = load_on(base_url, key)
            with load.running(batching=2):
                for _ in range(rounds):
                    load.progress(1)
                    time.sleep(moments.uniform(0.1, 0.8))
                    kill_all(server)
                    no_half_batches(url, load)
                    server = start(tmp_path, free_tcp_port, *options)
                    wait_for(client)
                load.progress()
    finally:
        kill_all(server)
    assert load.lost >= rounds
    assert load.lost_batches > 0
    assert load.refusals == []
    balance(url, load)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_killed_worker_loses_nothing_that_it_acknowledged(
    url: str, tmp_path: Path, free_tcp_port: int
) -> None:
    """The other one serves on, and a new one takes its place; each log is there exactly once."""
    moments = random.Random(SEED)  # noqa: S311 - no secret
    key = new_key(tmp_path, database=url)
    server = start(tmp_path, free_tcp_port, "--database", url, "--workers", "2")
    base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
    try:
        with Evrun(api_key=key, base_url=base_url, timeout=20) as client:
            wait_for(client)
        load = load_on(base_url, key)
        with load.running(batching=2):
            for _ in range(6):
                load.progress(1)
                time.sleep(moments.uniform(0.1, 0.8))
                while len(running := workers_of(server)) < 2:
                    time.sleep(0.02)
                moments.choice(running).kill()
                no_half_batches(url, load)
            load.progress()
    finally:
        kill_all(server)
    assert load.lost > 0
    assert load.lost_batches > 0
    assert load.refusals == []
    balance(url, load)
