from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from _support.acknowledged import all_logs
from _support.commands import new_key, serving
from _support.running_run import prepare
from _support.serve_process import start, wait_for
from evrun import AsyncEvrun, Evrun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NUMBER = 10_000
KILLS = 8
SEED = 20_241_126


def items(prepared: Any, number: int = NUMBER) -> Iterator[dict[str, Any]]:
    """Yield numbered outputs for the datapoints in turn."""
    rows = prepared["datapoint_ids"]
    for n in range(number):
        yield {"datapoint_id": rows[n % len(rows)], "log": {"output": str(n), "stdout": "x" * 300}}


def hold(client: Evrun, prepared: Any, ids: list[str]) -> None:
    """Fail unless exactly these logs are stored, each with its output."""
    stored = all_logs(client, prepared["project_id"])
    assert stored == {log_id: str(n) for n, log_id in enumerate(ids)}
    assert len(stored) == len(ids)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_ten_thousand_logs_through_a_server(tmp_path: Path) -> None:
    """Over HTTP, from a generator and awaited: each is stored exactly once."""
    with serving(tmp_path) as base_url:
        key = new_key(tmp_path)
        with Evrun(api_key=key, base_url=base_url) as client:
            prepared = prepare(client)
            client.run(prepared["run_id"]).start()

            async def log() -> list[str]:
                async with AsyncEvrun(api_key=key, base_url=base_url) as awaited:
                    many = awaited.run(prepared["run_id"]).iter_log_many(items(prepared))
                    return [each.result().id async for each in many]

            hold(client, prepared, asyncio.run(log()))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_ten_thousand_logs_in_this_process(tmp_path: Path) -> None:
    """Embedded: as over HTTP."""
    with Evrun.local(tmp_path / "evals.db") as client:
        prepared = prepare(client)
        client.run(prepared["run_id"]).start()
        logged = client.run(prepared["run_id"]).log_many(items(prepared))
        hold(client, prepared, [log.id for log in logged.logs])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_server_that_is_killed_meanwhile_stores_each_once(
    tmp_path: Path, free_tcp_port: int
) -> None:
    """Kill -9 at random moments, and restarted: what failed is handed over until all is stored."""
    moments = random.Random(SEED)  # noqa: S311 - no secret
    key = new_key(tmp_path)
    server = start(tmp_path, free_tcp_port)
    finished = threading.Event()
    kills: list[int] = []
    try:
        base_url = f"http://127.0.0.1:{free_tcp_port}/v4"
        with Evrun(api_key=key, base_url=base_url, timeout=30, max_retries=8) as client:
            wait_for(client)
            prepared = prepare(client)
            client.run(prepared["run_id"]).start()
            ids: dict[int, str] = {}

            def log() -> None:
                pending, places = list(items(prepared)), list(range(NUMBER))
                while pending:
                    many = client.run(prepared["run_id"]).log_many(
                        pending, batch_size=200, raise_on_error=False
                    )
                    ids.update({places[each.index]: each.log.id for each in many if each.log})
                    places = [places[each.index] for each in many.failed]
                    pending = [dict(each) for each in many.again]
                finished.set()

            thread = threading.Thread(target=log)
            thread.start()
            while len(kills) < KILLS and not finished.wait(moments.uniform(0.2, 0.8)):
                server.kill()
                kills.append(server.wait())
                server = start(tmp_path, free_tcp_port)
                time.sleep(0.1)
            thread.join()
            hold(client, prepared, [ids[n] for n in range(NUMBER)])
    finally:
        server.kill()
        server.wait()
    assert set(kills) == {-9}
