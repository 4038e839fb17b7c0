from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from _support.acknowledged import all_logs
from _support.commands import evrun, evrun_process, serving
from _support.raw_http import connect, received, replies, request
from _support.running_run import prepare
from _support.serve_process import eventually, service
from evrun import Evrun
from evrun.server.db.migrations import REVISIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _support.databases import Postgres


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """Return a database on PostgreSQL that has no schema yet."""
    url = postgres.create(empty=True)
    yield url
    postgres.drop(url)


def workers() -> list[psutil.Process]:
    """Return the processes that answer."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ends just now
            if any("spawn_main" in part for part in each.cmdline()):
                found.append(each)
    return found


def test_workers_share_one_database(tmp_path: Path, url: str) -> None:
    """Two processes and many clients: each key is carried out once, and a worker may die."""
    key = evrun("keys", "create", "tests", "--database", url, cwd=tmp_path).stdout.strip()
    with (
        serving(tmp_path, "--workers", "2", "--database", url) as base_url,
        Evrun(api_key=key, base_url=base_url) as client,
    ):
        prepared = prepare(client)
        client.run(prepared["run_id"]).start()

        def log(number: int) -> tuple[str, Any]:
            # A connection for each request, so that the requests go to either worker.
            answer = httpx.post(
                f"{base_url}/evaluations/{prepared['run_id']}/log",
                json={
                    "datapoint_id": prepared["datapoint_ids"][0],
                    "log": {"output": f"output {number}", "session_reference_id": "one"},
                },
                headers={"X-API-KEY": key, "Idempotency-Key": f"key-{number}"},
                timeout=100,
            )
            assert answer.status_code == 201, answer.text
            return answer.json()["id"], f"output {number}"

        with ThreadPoolExecutor(8) as pool:
            logged = set(pool.map(log, [*range(30), *range(30)]))
        assert len(logged) == 30
        assert all_logs(client, prepared["project_id"]) == dict(logged)
        (row,) = (r for r in client.run(prepared["run_id"]).datapoints().records if r.log)
        assert row.log is not None
        assert row.log.id in dict(logged)
        first, second = workers()
        os.kill(first.pid, signal.SIGKILL)
        assert log(30)[1] == "output 30"
        assert second.is_running()


def test_workers_are_replaced_and_drain(tmp_path: Path, url: str) -> None:
    """Another takes the place of one that died; at the end what is under way is answered."""
    key = evrun("keys", "create", "tests", "--database", url, cwd=tmp_path).stdout.strip()
    body = b'{"name": "under way"}'
    headers = {"X-API-KEY": key, "Content-Length": str(len(body)), "Expect": "100-continue"}
    with service(tmp_path, "--workers", "2", "--database", url) as server:
        (killed, _) = before = workers()
        killed.kill()
        eventually(lambda: len({*workers()} - {*before}) == 1)
        with connect(server.base_url) as connection:
            connection.sendall(request("POST", "/v4/projects", headers))
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # it is under way
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: len(workers()) == 1)
            connection.sendall(body)
            (reply,) = replies(received(connection))
        assert reply.status == 201
        assert server.process.wait(30) == 0
    assert workers() == []
    assert "Traceback" not in "\n".join(server.said)


def test_a_worker_that_cannot_start_is_tried_again(
    tmp_path: Path, postgres: Postgres, url: str
) -> None:
    """While PostgreSQL is down no worker starts; when it is back, so are they."""
    with service(tmp_path, "--workers", "2", "--database", url) as server:
        (killed, other) = workers()
        postgres.stop("immediate")
        try:
            killed.kill()
            eventually(lambda: "Application startup failed" in "\n".join(server.said))
            assert other.is_running()
        finally:
            postgres.start()
        said = len(server.said)
        eventually(lambda: any("startup complete" in line for line in server.said[said:]))
        assert httpx.get(f"{server.root}/readyz", timeout=30).status_code == 200
        assert len(workers()) == 2
        assert server.stop() == 0
    assert "A worker cannot start" not in "\n".join(server.said)


def test_workers_end_with_their_supervisor(tmp_path: Path, url: str) -> None:
    """A killed supervisor leaves nobody behind who would keep the port from the next server."""
    with service(tmp_path, "--workers", "2", "--database", url) as server:
        (first, second) = workers()
        server.process.kill()
        eventually(lambda: not first.is_running() and not second.is_running())


def test_workers_count_no_faults(tmp_path: Path, url: str) -> None:
    """Faults on purpose need one process, and are refused with more."""
    (tmp_path / "faults.toml").write_text("[[fault]]\nkind = 'drop'\n")
    options = ("--workers", "2", "--database", url, "--faults", "faults.toml")
    refused = evrun_process("serve", "--port", "0", *options, cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "which several workers cannot do together" in " ".join(refused.stderr.split())


def test_sqlite_has_one_worker(tmp_path: Path) -> None:
    """More are refused, with the reason."""
    refused = evrun_process("serve", "--port", "0", "--workers", "2", cwd=tmp_path, check=False)
    assert refused.returncode == 2
    assert "SQLite has one writer at a time" in " ".join(refused.stderr.split())


def test_the_schema_is_looked_at_and_upgraded(tmp_path: Path, url: str) -> None:
    """`evrun db current` changes nothing and `evrun db upgrade` does; no password is shown."""
    for database, name in ((url, url.replace(":@", ":***@")), ("sqlite:///e.db", "e.db")):
        for command, said in (
            ("current", "has no schema yet"),
            ("current", "has no schema yet"),
            ("upgrade", f"has schema {REVISIONS[-1]}."),
            ("current", f"has schema {REVISIONS[-1]}, the newest."),
            ("upgrade", f"has schema {REVISIONS[-1]}."),
        ):
            shown = evrun("db", command, "--database", database, cwd=tmp_path).stdout
            assert said in shown
            assert name.partition("?")[0] in shown
