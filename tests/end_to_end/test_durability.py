"""What was acknowledged is there, whatever is killed."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from _support.acknowledged import balance, no_half_batches
from _support.commands import new_key
from _support.databases import KINDS, fresh
from _support.load_threads import load_on
from _support.serve_process import kill_all, start, wait_for
from evrun import Evrun

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

SEED = 20_241_124


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
