"""One client used by many threads, or tasks, over `evrun serve`: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from _support import SUPPORT
from _support.client_kinds import WAYS, Way
from _support.commands import new_key, serving
from evrun import AsyncEvrun, Evrun
from evrun._transport import http_clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import httpx

    from evrun._transport.connection_settings import ConnectionSettings

THREADS, TASKS = 32, 200
LONG = (pytest.mark.soak, pytest.mark.timeout(600))


@frozen
class Target:
    """A run that is running on a server."""

    base_url: str
    key: str
    run_id: str
    datapoint_id: str
    project_id: str

    def outputs(self) -> list[str | None]:
        """Return the output of every log, sorted."""
        with Evrun(api_key=self.key, base_url=self.base_url) as client:
            logs = client.logs.iter_all(self.project_id, page_size=100)
            return sorted((log.output for log in logs), key=str)

    def wait_for(self, output: str) -> None:
        """Wait until a log with this output is there."""
        end = time.monotonic() + 30
        while output not in self.outputs():
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    key = new_key(tmp_path)
    with serving(tmp_path) as base_url, Evrun(api_key=key, base_url=base_url) as client:
        project = client.projects.create(name="many")
        dataset = client.datasets.create(project.id, name="rows", description="One row.")
        (datapoint,) = client.datasets.create_datapoints(
            dataset.id, datapoints=[{"inputs": {"q": "1"}}]
        )
        config = client.model_configs.register({"project_id": project.id, "model": "m"})
        run = client.evaluations.create(
            project_id=project.id,
            config_id=config.config_id,
            dataset_id=dataset.id,
            evaluator_ids=[],
        )
        client.run(run.id).start()
        yield Target(base_url, key, run.id, datapoint.id, project.id)


@pytest.mark.parametrize("calls", [10, pytest.param(200, marks=LONG)])
def test_many_threads_share_a_client(
    target: Target, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 threads log at the same time, through views: every log once, over one pool."""
    made: list[httpx.Client] = []
    build = http_clients.new_client

    def counted(settings: ConnectionSettings) -> httpx.Client:
        made.append(build(settings))
        return made[-1]

    monkeypatch.setattr(http_clients, "new_client", counted)
    together = Barrier(THREADS)

    with Evrun(api_key=target.key, base_url=target.base_url, concurrency=THREADS) as client:

        def work(thread: int) -> list[str]:
            together.wait(30)
            ids = []
            for n in range(calls):
                view = client.with_options(extra_headers={"X-Call": f"{thread}-{n}"})
                with view:  # closing a view closes nothing
                    log: dict[str, Any] = {"output": f"{thread}-{n}"}
                    run = view.run(target.run_id)
                    ids.append(str(run.log(target.datapoint_id, log=log).id))
            return ids

        with ThreadPoolExecutor(THREADS) as threads:
            ids = [log_id for each in threads.map(work, range(THREADS)) for log_id in each]
        assert len(made) == 1
    assert made[0].is_closed
    assert len(set(ids)) == THREADS * calls
    assert target.outputs() == sorted(f"{t}-{n}" for t in range(THREADS) for n in range(calls))


@pytest.mark.parametrize("calls", [2, pytest.param(32, marks=LONG)])
def test_many_tasks_share_a_client(target: Target, calls: int) -> None:
    """200 tasks log at the same time, through views, over fewer connections: every log once."""

    async def main() -> list[str]:
        async with AsyncEvrun(
            api_key=target.key, base_url=target.base_url, concurrency=THREADS
        ) as client:

            async def work(task: int) -> list[str]:
                ids = []
                for n in range(calls):
                    async with client.with_options(extra_headers={"X-Call": f"{task}-{n}"}) as view:
                        log: dict[str, Any] = {"output": f"{task}-{n}"}
                        run = view.run(target.run_id)
                        ids.append(str((await run.log(target.datapoint_id, log=log)).id))
                return ids

            each = await asyncio.gather(*(work(task) for task in range(TASKS)))
            return [log_id for ids in each for log_id in ids]

    ids = asyncio.run(main())
    assert len(set(ids)) == TASKS * calls
    assert target.outputs() == sorted(f"{t}-{n}" for t in range(TASKS) for n in range(calls))


def test_a_killed_process_has_lost_nothing_that_was_a_second_old(target: Target) -> None:
    """Sync and async: its generator was at the 151st answer, in the middle of its first batch."""
    script = SUPPORT / "slow_answers.py"
    where = (target.base_url, target.key, target.run_id, target.datapoint_id)
    processes = [
        subprocess.Popen([sys.executable, script, kind, *where, "150"])
        for kind in ("sync", "async")
    ]
    try:
        end = time.monotonic() + 30
        while len(target.outputs()) < 300:
            assert [each.poll() for each in processes] == [None, None]
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        for each in processes:
            each.kill()
    assert [each.wait() for each in processes] == [-signal.SIGKILL] * 2
    assert target.outputs() == sorted(str(n) for n in range(150) for _ in processes)


def test_answers_leave_while_the_next_is_made_over_every_transport(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer is stored when the generator goes on: httpx and pyreqwest, sync and async."""
    monkeypatch.setattr("evrun._bulk.plan.MOST_SECONDS", 0.01)

    def answers(way: Way) -> Iterator[Any]:
        for n in range(3):
            yield {"datapoint_id": target.datapoint_id, "log": {"output": f"{way} {n}"}}
            if way.kind == "sync":
                target.wait_for(f"{way} {n}")

    async def awaited_answers(way: Way) -> AsyncIterator[Any]:
        for answer in answers(way):
            yield answer
            await asyncio.to_thread(target.wait_for, answer["log"]["output"])

    for way in WAYS:
        settings: dict[str, Any] = {
            "api_key": target.key,
            "base_url": target.base_url,
            "transport": way.transport,
        }
        if way.kind == "sync":
            with Evrun(**settings) as client:
                assert len(client.run(target.run_id).log_many(answers(way))) == 3
            continue

        async def awaited(settings: dict[str, Any], way: Way) -> int:
            async with AsyncEvrun(**settings) as client:
                return len(await client.run(target.run_id).log_many(awaited_answers(way)))

        assert asyncio.run(awaited(settings, way)) == 3
