from __future__ import annotations

import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import URL, Engine, event, insert, make_url

from _support.served import Api, make_run_with, required
from evrun.server import DatabaseUnusableError, UnavailableError, create_key, list_keys
from evrun.server.api.app import create_app
from evrun.server.db.backends.sqlite import Sqlite
from evrun.server.db.backup import back_up
from evrun.server.db.database import Database
from evrun.server.db.ids import new_id
from evrun.server.db.tables import organisations
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.server.hosting.loop_thread import LoopThread
from evrun.server.store.scope import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from _support.served import Run


@pytest.fixture
def url(file: Path) -> str:
    """Return a SQLite file."""
    return f"sqlite:///{file}"


def test_somebody_elses_database_is_refused(file: Path) -> None:
    """A SQLite file with other tables, and a file that is none, stay as they are, byte for byte."""
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE recipes (id)")
    connection.close()
    recipes = file.read_bytes()
    with pytest.raises(DatabaseUnusableError, match=r"something else \(recipes…\)"):
        Database(f"sqlite:///{file}").open()
    assert file.read_bytes() == recipes
    text = b"no database, just text" * 100
    file.write_bytes(text)
    with pytest.raises(DatabaseUnusableError, match="not a SQLite database"):
        Database(f"sqlite:///{file}").open()
    assert file.read_bytes() == text
    assert list(file.parent.iterdir()) == [file]


ODD = (
    *("a%20b.db", "a?b.db", "50%41 off?x#y&z=%.db", "a+b;é\\.db"),
    *("file:a.db?mode=memory", ":memory:"),
)


@pytest.mark.parametrize("name", ODD)
def test_a_file_has_the_name_it_was_given(name: str, tmp_path: Path, sqlite_template: Path) -> None:
    """Whatever stands in it or in its folder is taken for no URL, and no other is touched."""
    folder = tmp_path / "50%41 off?x"
    folder.mkdir()
    for path in (tmp_path / name, folder / name):
        shutil.copy(sqlite_template, path)
        url = URL.create("sqlite", database=str(path))
        server = EmbeddedServer(path)
        assert Api(server.transport(), server.key).ok("Projects_create", {"name": "p"})
        server.close()
        for where in (url, url.render_as_string()):
            database = Database(where)
            assert database.name == str(path)
            create_key(database, f"as {type(where).__name__}")
            database.close()
        back_up(url.render_as_string(), folder / "copy.db")
        copy = Database(URL.create("sqlite", database=str(folder / "copy.db")))
        assert len(list_keys(copy)) == 2
        copy.close()
        (folder / "copy.db").unlink()
    assert set(tmp_path.iterdir()) == {folder, tmp_path / name}
    assert set(folder.iterdir()) == {folder / name}


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("evals.db", "'evals.db' is not a database URL. Write sqlite:///evals.db"),
        ("postgresql://u:pw@[::1/d", r"^What was given is not .* \[ and \] around an IPv6 address"),
        ("postgresql//u:pw@h/d", "^What was given is not a database URL"),
        ("postgresql//h/d?password=pw", "^What was given is not a database URL"),
        ("sqlite:///a?b.db", r"a: a SQLite URL ends with the file's name.* write %3F"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("mysql://u:pw@h/d", r"u:\*\*\*@h/d: the server runs on sqlite:/// and"),
        ("postgresql+asyncpg://u:pw@h/d", r"u:\*\*\*@h/d: of PostgreSQL's drivers .* psycopg"),
        ("sqlite:////no/such/folder/a.db", "folder /no/such/folder does not exist"),
    ],
)
def test_a_url_that_cannot_be_opened(url: str, sentence: str) -> None:
    """The sentence says what to write, and shows no password."""
    with pytest.raises(DatabaseUnusableError, match=sentence) as caught:
        Database(url).open()
    assert "pw" not in str(caught.value)


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
    host = LoopThread(create_app(database, local_key="k"))
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


def test_a_database_that_is_locked_when_it_is_opened(file: Path) -> None:
    """The sentence names the file; when it is free, it opens."""
    first = Database(f"sqlite:///{file}")
    first.open()
    first.close()
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("PRAGMA locking_mode = EXCLUSIVE")
    blocker.execute("BEGIN EXCLUSIVE")
    database = Database(f"sqlite:///{file}", busy_timeout=0.05)
    with pytest.raises(
        UnavailableError, match=r"evals\.db: The database is locked by another process"
    ):
        database.open()
    blocker.close()
    assert list_keys(database) == []
    database.close()


@contextmanager
def read_only(file: Path) -> Iterator[None]:
    """Open a SQLite file only for reading meanwhile, as SQLite does if it may do no more."""

    def connect(*_: Any) -> sqlite3.Connection:
        return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, check_same_thread=False)

    event.listen(Engine, "do_connect", connect)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", connect)


def test_a_read_only_database_is_503(file: Path) -> None:
    """Writes say so and reads go on; when it may be written again, it is, without a restart."""
    database = Database(f"sqlite:///{file}")
    server = EmbeddedServer(database)
    api = Api(server.transport(), server.key)
    kept = api.ok("Projects_create", {"name": "kept"})
    database.close()  # it opens again when it is used
    with read_only(file):
        for number in range(2):
            response = api.send("Projects_create", {"name": f"p{number}"})
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "1"
            assert response.headers["X-Should-Retry"] == "false"
            assert "The database is read-only: check its" in response.json()["detail"]
            assert api.ok("Projects_get", id=kept["id"]) == kept
    assert api.ok("Projects_get", id=kept["id"]) == kept
    api.ok("Projects_create", {"name": "p1"})
    assert api.ok("Projects_list")["total"] == 2
    api.http.close()
    server.close()


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


def add_much(connection: Connection) -> None:
    """Write what needs many pages."""
    row = {"id": new_id("org_"), "name": "x" * 100_000, "created_at": now()}
    connection.execute(insert(organisations).values(row))


def test_a_full_disk_is_told(database: Database) -> None:
    """A write that does not fit raises Unavailable, and what was there stays readable."""
    create_key(database, "first")
    database.write(leave_no_page)
    with pytest.raises(UnavailableError, match="disk under the database is full"):
        database.write(add_much)
    create_key(database, "second")


def test_a_full_disk_is_told_from_within_a_savepoint(database: Database) -> None:
    """SQLite undoes the whole transaction by itself, savepoints too: that is not the reason."""
    create_key(database, "first")
    database.write(leave_no_page)

    def work(connection: Connection) -> None:
        with connection.begin_nested():
            add_much(connection)

    with pytest.raises(UnavailableError, match="disk under the database is full"):
        database.write(work)
    assert [key.name for key in list_keys(database)] == ["first"]


@contextmanager
def noted() -> Iterator[list[tuple[str, Any]]]:
    """Yield the list into which all statements go, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _r: Any, statement: str, parameters: Any, _x: Any, _m: Any) -> None:
        statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_log_is_recorded_by_indexes(run: Run, database: Database) -> None:
    """The ten-thousandth costs what the first did: no statement reads a whole table or dataset."""
    with noted() as statements:
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


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("Datasets_listDatapoints", "dataset_id=? AND position>?"),
        ("Evaluations_listDatapoints", "dataset_id=? AND position>? AND position<?"),
        ("Evaluations_list", "project_id=? AND id<?"),
        ("Logs_list", "project_id=? AND (created_at,id)<(?,?)"),
    ],
)
def test_a_page_behind_a_cursor_is_found_by_an_index(
    run: Run, database: Database, name: str, index: str
) -> None:
    """The last page costs what the first did: what lies before is not read, and nothing sorted."""
    make_run_with(run.api, run)
    run.log(0)
    run.log(1)
    known = {"project_id": run.project_id, "dataset_id": run.dataset_id, "id": run.id}
    given = required(name, known) | {"size": 1}
    cursor = run.api.ok(name, **given)["next_cursor"]
    with noted() as statements:
        run.api.ok(name, **given, cursor=cursor)
    ((statement, parameters),) = (each for each in statements if " AS sort_0" in each[0])

    def plan(connection: Connection) -> str:
        explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return "\n".join(row[3] for row in explained)

    found = database.read(plan)
    assert f"({index})" in found
    assert "TEMP B-TREE" not in found
    assert "SCAN" not in found
