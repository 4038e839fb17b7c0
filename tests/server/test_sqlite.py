from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import Engine, event, insert, make_url

from evrun.server import DatabaseUnusable, Unavailable, create_key, list_keys
from evrun.server.app import create_app
from evrun.server.backends.sqlite import Sqlite
from evrun.server.database import Database
from evrun.server.hosting import Host
from evrun.server.identifiers import new_id
from evrun.server.schema import organisations
from evrun.server.store.scope import now

if TYPE_CHECKING:
    from pathlib import Path

    from served import Run
    from sqlalchemy import Connection


@pytest.fixture
def url(file: Path) -> str:
    """Return a SQLite file."""
    return f"sqlite:///{file}"


def test_somebody_elses_database_is_refused(file: Path) -> None:
    """A SQLite file with other tables, and a file that is none, stay as they are."""
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE recipes (id)")
    connection.close()
    with pytest.raises(DatabaseUnusable, match=r"something else \(recipes…\)"):
        Database(f"sqlite:///{file}").open()
    file.write_bytes(b"no database, just text" * 100)
    with pytest.raises(DatabaseUnusable, match="no SQLite database"):
        Database(f"sqlite:///{file}").open()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("evals.db", "no database URL. Write sqlite:///evals.db"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("mysql://u:pw@h/d", r"u:\*\*\*@h/d: the server runs on sqlite:/// and"),
        ("postgresql+asyncpg://u:pw@h/d", r"u:\*\*\*@h/d: of PostgreSQL's drivers .* psycopg"),
        ("sqlite:////no/such/folder/a.db", "folder /no/such/folder does not exist"),
    ],
)
def test_a_url_that_cannot_be_opened(url: str, sentence: str) -> None:
    """The sentence says what to write, and shows no password."""
    with pytest.raises(DatabaseUnusable, match=sentence):
        Database(url).open()


def test_writes_are_durable_and_isolated(database: Database, file: Path) -> None:
    """The file is in WAL mode, every commit is synced, and foreign keys hold."""

    def pragmas(connection: object) -> list[object]:
        return [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()  # type: ignore[attr-defined]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert database.write(pragmas) == ["wal", 2, 1]
    assert database.read(pragmas) == ["wal", 2, 1]


def test_a_locked_database_is_503(file: Path) -> None:
    """The answer says so and when to come back; reading goes on; afterwards all is well.

    A stranger does not even wait for it.
    """
    database = Database(f"sqlite:///{file}", busy_timeout=0.1)
    host = Host(create_app(database, local_key="k"))
    blocker = sqlite3.connect(file, isolation_level=None)
    request = httpx.Request(
        "POST", "http://x/v4/projects", json={"name": "p"}, headers={"X-API-KEY": "k"}
    )
    reading = httpx.Request("GET", "http://x/v4/projects", headers={"X-API-KEY": "k"})
    try:
        blocker.execute("BEGIN IMMEDIATE")
        response = host.submit(request, request.content).result(10)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"
        assert "locked by another process" in response.json()["detail"]
        assert host.submit(reading, b"").result(10).status_code == 200
        log = httpx.Request(
            "POST",
            "http://x/v4/evaluations/evrun_1/log",
            json={"datapoint_id": "evtc_1", "log": {"output": "x"}},
            headers={"X-API-KEY": "stranger"},
        )
        assert host.submit(log, log.content).result(10).status_code == 401
        blocker.execute("ROLLBACK")
        assert host.submit(request, request.content).result(10).status_code == 201
    finally:
        blocker.close()
        host.stop()


@pytest.mark.parametrize(
    ("code", "undone"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_CONSTRAINT, True),
        (sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.SQLITE_IOERR_FSYNC, False),
        (sqlite3.SQLITE_IOERR_SHMSIZE, False),  # of the journal's index, which comes after it
    ],
)
def test_what_a_failed_commit_leaves(file: Path, code: int, undone: bool) -> None:
    """Only what comes before the journal is complete has certainly changed nothing."""
    error = sqlite3.OperationalError()
    error.sqlite_errorcode = code
    backend = Sqlite(make_url(f"sqlite:///{file}"), busy_timeout=1.0)
    assert backend.undone(error) is undone


def leave_no_page(connection: Connection) -> None:
    """Let the file not grow any more."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_told(database: Database) -> None:
    """A write that does not fit raises Unavailable, and what was there stays readable."""
    create_key(database, "first")
    database.write(leave_no_page)
    with pytest.raises(Unavailable, match="disk under the database is full"):
        create_key(database, "x" * 100_000)
    create_key(database, "second")


def test_a_full_disk_is_told_from_within_a_savepoint(database: Database) -> None:
    """SQLite undoes the whole transaction by itself, savepoints too: that is not the reason."""
    create_key(database, "first")
    database.write(leave_no_page)

    def work(connection: Connection) -> None:
        with connection.begin_nested():
            row = {"id": new_id("org_"), "name": "x" * 100_000, "created_at": now()}
            connection.execute(insert(organisations).values(row))

    with pytest.raises(Unavailable, match="disk under the database is full"):
        database.write(work)
    assert [key.name for key in list_keys(database)] == ["first"]


def test_a_log_is_recorded_by_indexes(run: Run, database: Database) -> None:
    """The ten-thousandth costs what the first did: no statement reads a whole table or dataset."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _r: Any, statement: str, parameters: Any, _x: Any, _m: Any) -> None:
        statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        body = run.log_body(output="x", session_reference_id="s", reference_id="r")
        for parent in ({}, {"parent_reference_id": "r"}):
            log = {**body["log"], **parent}
            send = {"datapoint_id": body["datapoint_id"], "log": log}
            key = f"key-{len(parent)}"
            answer = run.api.send("Evaluations_log", send, idempotency_key=key, **run.path)
            assert answer.status_code == 201
        # So many that SQLite would rather read a dataset from its beginning.
        many = [{**body, "datapoint_id": new_id("evtc_")} for _ in range(128)]
        run.api.ok("Evaluations_logMany", {"logs": many}, **run.path)
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    def scans(connection: Connection) -> list[str]:
        return [
            f"{row[3]}: {statement}"
            for statement, parameters in statements
            if statement.startswith(("SELECT", "UPDATE", "DELETE"))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            if (row[3].startswith("SCAN") and "SUBQUERY" not in row[3]) or "position<" in row[3]
        ]

    assert len(statements) > 20
    assert database.read(scans) == []
