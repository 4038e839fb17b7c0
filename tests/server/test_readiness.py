from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from evrun.server import Database, UnavailableError
from evrun.server.api.app import create_app
from evrun.server.api.lifecycle import Lifecycle
from evrun.server.hosting.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from _support.databases import Postgres

TABLE = "organisations"


class Absent(Database):
    """A database that cannot be reached, after it was opened."""

    def read(self, work: Callable[[Any], Any]) -> Any:
        raise UnavailableError("The disk is gone.", retry_after=7)


class Silent(Database):
    """A database that takes its time."""

    answers = threading.Event()

    def read(self, work: Callable[[Any], Any]) -> Any:
        assert self.answers.wait(60)
        return super().read(work)


@contextmanager
def hosted(database: Database, lifecycle: Lifecycle | None = None) -> Iterator[LoopThread]:
    host = LoopThread(create_app(database, local_key="k", lifecycle=lifecycle))
    try:
        yield host
    finally:
        host.stop()


def get(host: LoopThread, path: str) -> httpx.Response:
    request = httpx.Request("GET", f"http://evrun.test{path}", headers={"X-API-KEY": "k"})
    return host.submit(request, b"").result(30)


def test_ready_is_who_reads_the_database(file: Path) -> None:
    """200 without a key."""
    with hosted(Database(f"sqlite:///{file}")) as host:
        response = get(host, "/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_a_database_that_refuses_is_503_with_its_reason(file: Path) -> None:
    """And with its time to come back; the process is healthy all the same."""
    with hosted(Absent(f"sqlite:///{file}")) as host:
        response = get(host, "/readyz")
        assert response.status_code == 503
        assert response.json() == {"detail": "The disk is gone."}
        assert response.headers["Retry-After"] == "7"
        assert get(host, "/healthz").status_code == 200


def test_a_database_that_says_nothing_is_503_before_long(file: Path) -> None:
    """Whoever asks is not kept waiting with it; when it answers again, so does the server."""
    with hosted(Silent(f"sqlite:///{file}")) as host:
        try:
            response = get(host, "/readyz")
        finally:
            Silent.answers.set()
        assert response.status_code == 503
        assert response.json() == {"detail": "The database does not answer in time."}
        assert get(host, "/readyz").status_code == 200


def test_a_server_that_stops_is_not_ready(file: Path) -> None:
    """Operations are refused too, before their key is looked at; health goes on."""
    lifecycle = Lifecycle()
    with hosted(Database(f"sqlite:///{file}"), lifecycle) as host:
        assert get(host, "/v4/projects").status_code == 200
        lifecycle.draining = True
        for path in ("/readyz", "/v4/projects"):
            response = get(host, path)
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
        assert get(host, "/healthz").status_code == 200


def test_tables_that_were_dropped_are_503(url: str) -> None:
    """Of either database: the sentence says which, and that somebody has to act."""
    database = Database(url)
    with hosted(database) as host:
        database.write(
            lambda connection: connection.exec_driver_sql(f"ALTER TABLE {TABLE} RENAME TO x")
        )
        for path in ("/readyz", "/v4/projects"):
            response = get(host, path)
            assert response.status_code == 503
            assert response.headers["X-Should-Retry"] == "false"
            assert TABLE in response.json()["detail"]
            assert "the tables are not those that the server opened" in response.json()["detail"]
        database.write(
            lambda connection: connection.exec_driver_sql(f"ALTER TABLE x RENAME TO {TABLE}")
        )
        assert get(host, "/readyz").status_code == 200


def test_a_dropped_postgresql_database_is_503(postgres: Postgres) -> None:
    """PostgreSQL runs, so that asking again is in vain."""
    url = postgres.create()
    with hosted(Database(url)) as host:
        assert get(host, "/readyz").status_code == 200
        postgres.drop(url)
        for path in ("/readyz", "/v4/projects"):
            response = get(host, path)
            assert response.status_code == 503
            assert response.headers["X-Should-Retry"] == "false"
            assert "PostgreSQL has no such database any more" in response.json()["detail"]


class Defective(Database):
    """A database with a defect of ours."""

    def read(self, work: Callable[[Any], Any]) -> Any:
        raise ZeroDivisionError


def test_a_defect_is_json_too(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As the answers of all other paths, and the log has the details."""
    with hosted(Defective(f"sqlite:///{file}")) as host:
        response = get(host, "/readyz")
    assert response.status_code == 500
    assert response.headers["X-Request-ID"] in response.json()["detail"]
    assert "ZeroDivisionError" in caplog.text
