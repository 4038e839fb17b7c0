"""A SQLite file that is moved, deleted or replaced under a server that has it open."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from attrs import frozen
from sqlalchemy import func, insert, select

from _support.served import Api
from evrun.errors import ConfigurationError
from evrun.server import UnavailableError, create_key, list_keys
from evrun.server.db.database import Database
from evrun.server.db.ids import new_id
from evrun.server.db.tables import organisations
from evrun.server.errors import OutcomeUnknownError
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.server.store.scope import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from _support.served import Run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a place in a folder that can be moved."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "evals.db"


@pytest.fixture
def url(file: Path) -> str:
    """Return a SQLite file."""
    return f"sqlite:///{file}"


def beside(file: Path, end: str) -> Path:
    return file.with_name(file.name + end)


def all_of(file: Path) -> list[Path]:
    return [each for each in (file, beside(file, "-wal"), beside(file, "-shm")) if each.exists()]


def delete(file: Path) -> None:
    for each in all_of(file):
        each.unlink()


def move(file: Path) -> None:
    """Move the database alone, as `mv evals.db elsewhere` does."""
    file.rename(file.with_name("elsewhere"))


def move_back(file: Path) -> None:
    file.with_name("elsewhere").rename(file)


def move_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("moved"))


def move_folder_back(file: Path) -> None:
    file.parent.with_name("moved").rename(file.parent)


def restore_a_backup(file: Path) -> None:
    """Put another database of evrun's into its place, as `mv backup.db evals.db` does."""
    move(file)
    backup = Database(f"sqlite:///{file.with_name('backup')}")
    backup.open()
    backup.close()
    file.with_name("backup").rename(file)


def put_a_text_there(file: Path) -> None:
    move(file)
    file.write_text("not a database")


def lead_elsewhere(file: Path) -> None:
    """Leave a link to another database there."""
    move(file)
    shutil.copy(file.with_name("elsewhere"), file.with_name("other"))
    file.symlink_to("other")


def empty(file: Path) -> None:
    """Empty it in its place, as `> evals.db` does."""
    os.truncate(file, 0)


def no_wal(file: Path) -> None:
    beside(file, "-wal").unlink()


def other_shm(file: Path) -> None:
    shutil.copy(beside(file, "-shm"), beside(file, "-new"))
    beside(file, "-new").rename(beside(file, "-shm"))


def make_unreachable(file: Path) -> None:
    """Let its folder become a link that leads to itself, as a mount that broke may."""
    move_folder(file)
    file.parent.symlink_to(file.parent)


def make_reachable(file: Path) -> None:
    file.parent.unlink()
    move_folder_back(file)


@frozen
class Loss:
    do: Callable[[Path], None]
    said: str
    undo: Callable[[Path], None] | None = None

    def __str__(self) -> str:
        return self.do.__name__


LOSSES = (
    Loss(delete, "evals.db: the database file was moved or deleted while it was open. Put it back"),
    Loss(move, "was moved or deleted while it was open", move_back),
    Loss(move_folder, "was moved or deleted while it was open", move_folder_back),
    Loss(restore_a_backup, "was replaced by another one while it was open", move_back),
    Loss(put_a_text_there, "was replaced by another one while it was open", move_back),
    Loss(lead_elsewhere, "was replaced by another one while it was open", move_back),
    Loss(empty, "was emptied while it was open. Restore it from a backup, then restart"),
    Loss(no_wal, "evals.db-wal: this file belongs to the database, and it was deleted"),
    Loss(other_shm, "evals.db-shm: this file belongs to the database, and it was deleted"),
    Loss(make_unreachable, "cannot be reached any more (Too many levels", make_reachable),
)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what lies in a folder."""
    files = (each for each in folder.rglob("*") if not each.is_symlink())
    return {str(each): (each.stat().st_ino, each.stat().st_size) for each in files}


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_loss_is_503_until_it_is_undone(loss: Loss, run: Run, file: Path, tmp_path: Path) -> None:
    """Reads, writes and /readyz say what happened and what to do; nothing is made in its place."""
    api = run.api
    assert api.send("Evaluations_log", run.log_body(output="kept"), **run.path).status_code == 201
    loss.do(file)
    before = listing(tmp_path)
    answers = [
        api.send("Projects_list"),
        api.send("Projects_create", {"name": "lost"}),
        api.send("Evaluations_log", run.log_body(output="lost"), **run.path),
        api.send("Evaluations_logMany", {"logs": [run.log_body(output="lost")] * 2}, **run.path),
        api.http.get("http://evrun.test/readyz"),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert loss.said in answer.json()["detail"]
        assert str(file) in answer.json()["detail"]
        # Clients know that nothing was done, and that asking again is in vain.
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["X-Should-Retry"] == "false"
    assert api.http.get("http://evrun.test/healthz").status_code == 200
    assert listing(tmp_path) == before
    if loss.undo is not None:
        loss.undo(file)
        assert api.http.get("http://evrun.test/readyz").status_code == 200
        assert [each["name"] for each in api.ok("Projects_list")["records"]] == ["capitals"]
        api.ok("Evaluations_log", run.log_body(output="again"), **run.path)


@pytest.mark.parametrize("loss", [each for each in LOSSES if each.undo is None], ids=str)
def test_closing_makes_no_file(loss: Loss, file: Path) -> None:
    """Neither the database's nor others are there afterwards that were not before."""
    database = Database(f"sqlite:///{file}")
    create_key(database, "kept")
    loss.do(file)
    before = set(file.parent.iterdir())
    database.close()
    assert set(file.parent.iterdir()) <= before


@pytest.mark.parametrize("loss", [no_wal, other_shm])
def test_closing_saves_what_a_journal_held(loss: Callable[[Path], None], file: Path) -> None:
    """What was acknowledged goes into the database, although a file beside it is gone."""
    database = Database(f"sqlite:///{file}")
    for name in "ab":
        create_key(database, name)
    loss(file)
    with pytest.raises(UnavailableError, match="saves what is missing into evals"):
        create_key(database, "c")
    database.close()
    assert [key.name for key in list_keys(database)] == ["a", "b"]
    database.close()


def add(connection: Connection) -> None:
    name = new_id("org_")
    row = {"id": name, "name": name, "created_at": now()}
    connection.execute(insert(organisations).values(row))


def count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(organisations)).scalar_one())


@pytest.mark.parametrize("together", [1, 3])
def test_a_file_that_goes_while_a_change_is_made(together: int, file: Path) -> None:
    """Nobody can say whether the change is lost: it is there when the file is put back."""
    database = Database(f"sqlite:///{file}")
    before = database.read(count)
    begun, queued = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        begun.set()
        assert queued.wait(10)

    def work(connection: Connection) -> None:
        add(connection)
        if file.exists():
            move(file)

    held = database.submit(hold)
    assert begun.wait(10)
    futures = [database.submit(work) for _ in range(together)]  # they share a commit
    queued.set()
    held.result(10)
    for future in futures:
        with pytest.raises(
            OutcomeUnknownError, match="was moved or deleted .* may be in the file that"
        ):
            future.result(10)
    move_back(file)
    assert database.read(count) == before + together
    database.close()


def test_a_new_server_begins_anew_beside_an_old_one(file: Path) -> None:
    """The old one answers 503 until it is closed; then it goes on with what lies there."""
    old = Database(f"sqlite:///{file}")
    create_key(old, "old")
    delete(file)
    new = Database(f"sqlite:///{file}")
    create_key(new, "new")
    with pytest.raises(UnavailableError, match="was replaced by another one"):
        list_keys(old)
    old.close()
    assert [key.name for key in list_keys(old)] == [key.name for key in list_keys(new)] == ["new"]
    old.close()
    new.close()


def test_a_connection_that_opened_another_file_is_refused(file: Path) -> None:
    """Also if the file is replaced at the moment at which a connection is opened."""
    database = Database(f"sqlite:///{file}")
    database.open()

    def work(_: Connection) -> int:
        restore_a_backup(file)
        raw = database._backend._reader.raw_connection()  # type: ignore[attr-defined]
        return id(raw)

    with pytest.raises(UnavailableError, match="was replaced by another one"):
        database.read(work)
    database.close()


@pytest.fixture
def served(file: Path) -> Iterator[Api]:
    """Return an API over a file, with a server that its tests leave behind in a child."""
    server = EmbeddedServer(file)
    server.open()
    api = Api(server.transport(), server.key)
    yield api
    api.http.close()
    server.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("begun", [False, True])
def test_a_forked_child_makes_no_other_file(begun: bool, served: Api, file: Path) -> None:
    """It needs the file that its parent opened, and says so where that is gone."""
    if begun:
        served.ok("Projects_create", {"name": "p"})
    delete(file)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            served.http.get("/projects", timeout=10)
        except ConfigurationError as error:
            status = "was moved or deleted" not in str(error)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not file.exists()


def test_a_file_that_comes_back_is_found_by_a_child_too(file: Path) -> None:
    """The journal is another one then, as the parent closed its connections before it forked."""
    database = Database(f"sqlite:///{file}")
    create_key(database, "before")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            create_key(database, "child")
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    create_key(database, "parent")
    assert [key.name for key in list_keys(database)] == ["before", "child", "parent"]
    database.close()


def refusal_of_nobody(work: Callable[[], object]) -> str:
    """Return the sentence of what `work` raises in a child without any privilege."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            work()
        except BaseException as error:  # noqa: BLE001 - the parent looks at it
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        return pipe.read()


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that every user reaches, unlike pytest's."""
    with TemporaryDirectory(prefix="evrun-files-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_user_who_may_not_is_told_what(public: Path) -> None:
    """Whether it is the file or its folder. A file that may only be read is opened, and read."""
    shown = public / "evals.db"
    for path in (shown, public / "hidden.db"):
        database = Database(f"sqlite:///{path}")
        create_key(database, "k")
        database.close()
    (public / "hidden.db").chmod(0)
    new, hidden = (Database(f"sqlite:///{public}/{name}") for name in ("new.db", "hidden.db"))
    public.chmod(0o555)
    assert "new.db: The database file cannot be opened: its folder" in refusal_of_nobody(new.open)
    assert "hidden.db: The database file cannot be opened: this user may not read it." in (
        refusal_of_nobody(hidden.open)
    )
    public.chmod(0o777)
    shown.chmod(0o444)
    database = Database(f"sqlite:///{shown}")

    def work() -> None:
        assert [key.name for key in list_keys(database)] == ["k"]
        create_key(database, "x")

    assert "The database is read-only: check its permissions" in refusal_of_nobody(work)
    public.chmod(0o755)
