"""Faults of the database under load: answers say what to do, nothing is lost, and all goes on."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from psycopg.errors import DiskFull
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError

from _support.acknowledged import balance
from _support.commands import evrun, new_key
from _support.databases import run_postgres_in
from _support.load_threads import Load, load_on
from _support.serve_process import Service, service
from _support.small_disks import full, immutable, read_only, small_disk
from evrun import AsyncEvrun, ConfigurationError, Evrun, ServerError
from evrun.server.hosting.serve import CLOSE_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _support.databases import Postgres

RESTARTING = ("PostgreSQL is starting or stopping. Try again", "cannot be reached. Does it run?")


@contextmanager
def loaded(url: str, folder: Path, **options: Any) -> Iterator[tuple[Service, Load]]:
    """Serve a database and log to it; in the end all that was acknowledged is there."""
    key = new_key(folder, database=url)
    with service(folder, "--database", url, "--access-log", "off") as server:
        load = load_on(server.base_url, key, **options)
        with load.running():
            load.progress()
            yield server, load
            load.progress()  # without a restart
    assert "Traceback" not in "\n".join(server.said)
    balance(url, load)


def refuse(load: Load, *sentences: str) -> None:
    """Fail unless requests were refused with these sentences only, and as documented."""
    assert load.refusals
    for refusal in load.refusals:
        assert any(re.search(each, refusal.detail) for each in sentences), refusal
        assert (refusal.status, refusal.retry_after) == (503, "1")


def unknown(load: Load) -> None:
    """Set aside the answers that say how to find out, after PostgreSQL broke off a commit."""
    aside = [each for each in load.refusals if each.status == 500]
    for each in aside:
        assert each.retry_after is None, "a client would take it for declined"
        assert "Send the request again under the same Idempotency-Key" in each.detail
    load.refusals = [each for each in load.refusals if each not in aside]


def reads(load: Load) -> int:
    """Return what reading is answered."""
    path = f"{load.base_url}/evaluations/{load.run_id}"
    return httpx.get(path, headers={"X-API-KEY": load.key}, timeout=60).status_code


def crash(postgres: Postgres) -> None:
    """Use up PostgreSQL's journal on a full disk, until it ends itself."""
    while True:
        try:
            postgres.execute("SELECT pg_switch_wal()")
        except OperationalError as error:
            if not isinstance(error.orig, DiskFull):
                return  # it closed the connection


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """Return a database on PostgreSQL."""
    url = postgres.create()
    yield url
    postgres.drop(url)


def test_a_disk_that_fails_to_write(tmp_path: Path) -> None:
    """SQLite's writes are 503 while the system refuses them, and reads go on."""
    with loaded(f"sqlite:///{tmp_path}/evals.db", tmp_path) as (server, load):
        process = psutil.Process(server.process.pid)
        before = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
        load.refused()
        assert reads(load) == 200
        process.rlimit(psutil.RLIMIT_FSIZE, before)
    refuse(load, "The disk under the database failed to read or write")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgresql_is_restarted(mode: str, postgres: Postgres, url: str, tmp_path: Path) -> None:
    """What it broke off is 503, or 500 if it may be there; each log is there once all the same."""
    with loaded(url, tmp_path) as (_, load):
        for _ in range(3):
            postgres.stop(mode)
            load.refused()
            postgres.start()
            load.progress()
    unknown(load)
    refuse(load, *RESTARTING)


def test_a_read_only_postgresql(postgres: Postgres, url: str, tmp_path: Path) -> None:
    """Writes are 503 and reads go on; when it takes writes again, so does the server."""
    name = make_url(url).database
    with loaded(url, tmp_path) as (_, load):
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        postgres.disconnect(url)
        load.refused(30)
        assert reads(load) == 200
        postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    unknown(load)
    refuse(load, "The database is read-only: let it be written again", *RESTARTING)


@pytest.mark.soak
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_while_postgresql_hangs(
    workers: str, postgres: Postgres, url: str, tmp_path: Path
) -> None:
    """Who waits for it is told that it may be done or not, and the server ends all the same."""
    key = new_key(tmp_path, database=url)
    options = ("--database", url, "--workers", workers, "--drain-timeout", "1")
    with (
        service(tmp_path, *options) as server,
        ThreadPoolExecutor() as pool,
        postgres.frozen(),
    ):
        http = httpx.Client(base_url=server.base_url, headers={"X-API-KEY": key}, timeout=60)
        asked = [pool.submit(http.post, "/projects", json={"name": "p"}) for _ in range(3)]
        ready = httpx.get(f"{server.root}/readyz", timeout=60)
        assert (ready.status_code, "does not answer" in ready.text) == (503, True)
        assert not any(each.done() for each in asked)
        before = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - before < 1 + CLOSE_TIMEOUT + 10
        for each in asked:
            assert each.result().status_code == 500
            assert "it may be done all the same" in each.result().text
        http.close()
    said = "\n".join(server.said)
    assert "The database does not answer what is under way" in said
    assert "Traceback" not in said


@pytest.mark.soak
def test_a_full_disk_under_sqlite(tmp_path: Path) -> None:
    """Writes are 503 until there is room again, many logs at once too; reads go on."""
    with (
        small_disk(96) as disk,
        loaded(f"sqlite:///{disk}/evals.db", tmp_path, padding=20_000 * "x") as (_, load),
    ):
        send = load.many(300)
        with full(disk):
            load.refused()
            assert send().status_code == 503
            assert reads(load) == 200
        assert send().status_code == 200
    refuse(load, "The disk under the database is full: make room there")


@pytest.mark.soak
def test_a_full_disk_under_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    """Also where PostgreSQL ends itself, because it cannot write its journal."""
    with small_disk(320) as disk, contextmanager(run_postgres_in)(str(disk)) as small:
        url = small.create()
        with loaded(url, tmp_path, padding=20_000 * "x") as (_, load):
            send = load.many(300)
            with full(disk):
                load.refused()
                assert send().status_code == 503
                crash(small)
                load.refused()
            small.stop("immediate")  # it may still be trying by itself
            small.start()
            load.progress()
            assert send().status_code == 200
        unknown(load)
        refuse(load, "The disk under the database is full: make room", *RESTARTING)


@pytest.mark.soak
def test_an_immutable_sqlite_file(tmp_path: Path) -> None:
    """Writes are 503 and reads go on; when it may be written again, so it is."""
    with (
        small_disk(32, "ext4") as disk,
        loaded(f"sqlite:///{disk}/evals.db", tmp_path) as (_, load),
        immutable(disk),
    ):
        load.refused()
        assert reads(load) == 200
    refuse(load, "The disk under the database failed to read or write")


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_sqlite_on_a_read_only_disk(kind: str, tmp_path: Path) -> None:
    """A server that starts there reads; it writes when the disk takes writes, without a restart."""
    file = tmp_path / "evals.db"
    headers = {"X-API-KEY": new_key(tmp_path, database=f"sqlite:///{file}")}
    with small_disk(32, kind) as disk:
        with closing(sqlite3.connect(file)) as user:
            user.execute("PRAGMA user_version = 1")
            for each in tmp_path.glob("evals.db*"):  # with the `-wal` and `-shm` of who uses it
                shutil.copy(each, disk)
        url = f"sqlite:///{disk}/evals.db"
        with ExitStack() as stack:
            with read_only(disk):
                server = stack.enter_context(service(tmp_path, "--database", url))
                client = httpx.Client(base_url=server.base_url, headers=headers, timeout=60)
                stack.enter_context(client)
                for _ in range(2):
                    refused = client.post("/projects", json={"name": "p"})
                    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
                    assert "The database is read-only: check its" in refused.json()["detail"]
                    assert client.get("/projects").json()["records"] == []
            # The first may meet what reads opened meanwhile.
            statuses = [client.post("/projects", json={"name": "p"}).status_code for _ in range(2)]
            assert statuses in ([201, 409], [503, 201])
            (project,) = client.get("/projects").json()["records"]
            assert project["name"] == "p"


@pytest.mark.soak
def test_sqlite_on_a_read_only_disk_that_nobody_used(tmp_path: Path) -> None:
    """SQLite cannot even read there, as it makes files beside: one line says what it needs."""
    with small_disk(32) as disk:
        url = f"sqlite:///{disk}/evals.db"
        new_key(tmp_path, database=url)
        with read_only(disk):
            result = evrun("keys", "list", "--database", url, cwd=tmp_path, check=False)
    assert result.returncode == 3
    said = (
        f"evrun: {disk}/evals.db: The database file cannot be opened: its folder must take writes."
    )
    assert result.stderr == f"{said}\n"


@pytest.mark.soak
def test_a_locked_sqlite_file(tmp_path: Path) -> None:
    """Writes wait for the other process, and are 503 when they waited too long; reads go on."""
    with loaded(f"sqlite:///{tmp_path}/evals.db", tmp_path) as (_, load):
        blocker = sqlite3.connect(tmp_path / "evals.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        load.refused(6)
        assert reads(load) == 200
        blocker.execute("ROLLBACK")
        blocker.close()
    refuse(load, "The database is locked by another process")


@pytest.mark.soak
def test_a_locked_table_of_postgresql(url: str, tmp_path: Path) -> None:
    """Whatever needs the table waits, and is 503 when it waited too long."""
    with loaded(url, tmp_path) as (_, load):
        engine = create_engine(url)
        with engine.begin() as blocker:
            blocker.exec_driver_sql("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
            load.refused(6)
        engine.dispose()
    refuse(load, "The object is locked by another writer")


@pytest.mark.soak
@pytest.mark.parametrize("local", [Evrun.local, AsyncEvrun.local])
def test_a_local_client_on_a_disk_without_room(local: Callable[[Path], object]) -> None:
    """The constructor says so; an open client is told at its write, and goes on when there is room.

    A disk that takes no writes is no place for it.
    """
    with small_disk(8) as disk:
        with Evrun.local(disk / "evals.db") as client:
            client.projects.create(name="kept")
            with full(disk):
                with pytest.raises(ConfigurationError, match="new.db: The disk .* is full"):
                    local(disk / "new.db")
                with pytest.raises(ServerError, match="disk under the database is full"):
                    client.with_options(max_retries=0).projects.create(name="x" * 1_000_000)
            client.projects.create(name="again")
        with read_only(disk):
            with pytest.raises(ConfigurationError, match="new2.db: The database file cannot be op"):
                local(disk / "new2.db")
            with pytest.raises(ConfigurationError, match=r"evals\.db: The database file cannot be"):
                local(disk / "evals.db")


def test_a_sqlite_file_that_is_moved_and_moved_back(tmp_path: Path) -> None:
    """All is 503 meanwhile, reads too; what was acknowledged is there afterwards."""
    data, moved = tmp_path / "data", tmp_path / "moved"
    data.mkdir()
    with loaded(f"sqlite:///{data}/evals.db", tmp_path) as (_, load):
        for _ in range(2):
            data.rename(moved)
            load.refused()
            assert reads(load) == 503
            moved.rename(data)
            load.progress()
    unknown(load)  # if it went while a change was committed
    refuse(load, "was moved or deleted while it was open. Put it back")


def test_a_sqlite_file_that_is_deleted(tmp_path: Path) -> None:
    """All is 503 from then on, nothing is made, and the server ends as it should."""
    data = tmp_path / "data"
    data.mkdir()
    url = f"sqlite:///{data}/evals.db"
    headers = {"X-API-KEY": new_key(tmp_path, database=url)}
    with (
        service(tmp_path, "--database", url, "--access-log", "off") as server,
        httpx.Client(base_url=server.base_url, headers=headers) as client,
    ):
        assert client.post("/projects", json={"name": "p"}).status_code == 201
        for each in data.iterdir():
            each.unlink()
        for _ in range(2):
            refused = client.post("/projects", json={"name": "q"})
            assert (refused.status_code, refused.headers["X-Should-Retry"]) == (503, "false")
        ready = client.get(f"{server.root}/readyz")
        assert (ready.status_code, "moved or deleted" in ready.json()["detail"]) == (503, True)
        assert server.stop() == 0
    assert list(data.iterdir()) == []
    assert "Traceback" not in "\n".join(server.said)
