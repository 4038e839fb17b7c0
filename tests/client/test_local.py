"""`Evrun.local` and `AsyncEvrun.local`: the real server in this process, without a port."""

from __future__ import annotations

import asyncio
import os
import pickle
import sqlite3
import subprocess
import sys
import threading
from contextlib import chdir, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from _support import SUPPORT
from _support.running_run import running
from evrun import (
    AsyncEvrun,
    ConfigurationError,
    Evrun,
    LogId,
    NotFoundError,
    RequestTimeoutError,
    ServerError,
    UnknownOutcomeError,
    UnprocessableEntityError,
)
from evrun._base import extras

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "n" * 300


def newer(path: Path) -> None:
    """Leave a database of an evrun to come."""
    Evrun.local(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (id)")


@frozen
class Place:
    """Where no database can be opened."""

    name: str
    said: str
    make: Callable[[Path], object] = lambda _: None

    def prepare(self, folder: Path) -> Path:
        """Return it, in a folder."""
        path = folder / self.name
        self.make(path)
        return path


PLACES = (
    Place("missing/evals.db", "the folder .*missing does not exist. Make it"),
    Place("folder", "folder is a folder. Name a file in it, such as .*/evals.db", Path.mkdir),
    Place("notes.txt", "is not a SQLite database", lambda path: path.write_text("notes " * 99)),
    Place("recipes.db", r"holds tables of something else \(recipes", of_something_else),
    Place("newer.db", "was written by a newer evrun .* Upgrade", newer),
    Place("pipe", "is a device, a pipe or a socket", os.mkfifo),
    Place(
        "link.db",
        r"\(a link to .*missing/evals.db\): the folder .*missing does not exist",
        lambda path: path.symlink_to(path.with_name("missing") / "evals.db"),
    ),
    Place("loop.db", "Too many levels of symbolic links", lambda path: path.symlink_to(path)),
    Place(LONG, "File name too long"),
)

RUN = SUPPORT / "local_run.py"


def test_what_is_logged_stays(tmp_path: Path) -> None:
    """A log survives closing the client: the file holds it."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)
        logged = client.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "Paris"})
    assert path.is_file()
    with Evrun.local(str(path)) as client:
        assert client.logs.get(logged.id).output == "Paris"


def test_what_the_server_says_names_calls_of_the_client(tmp_path: Path) -> None:
    """Whoever calls methods is told of methods, and a local 404 does not talk of keys."""
    with Evrun.local(tmp_path / "evals.db") as client:
        run, datapoint_id = running(client)
        client.run(run.id).complete()
        with pytest.raises(UnprocessableEntityError) as refused:
            client.run(run.id).log(datapoint_id, log={})
        assert str(refused.value).endswith(
            "answered 422: path.evaluation_id: The run is completed, and only a running run takes "
            "logs and results. Set it running first: client.run(…).start()."
        )
        assert refused.value.fields[0].msg.endswith("Evaluations_updateStatus.")
        with pytest.raises(NotFoundError) as missing:
            client.projects.get("pr_nobody")
        assert str(missing.value) == (
            "GET http://evrun.local/v4/projects/pr_nobody answered 404: "
            "There is no project pr_nobody."
        )


def test_sync_and_async_see_the_same_file(tmp_path: Path) -> None:
    """Two clients of one process share a file, and one client outlives several event loops."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)
        awaited = AsyncEvrun.local(path)

        async def log(output: str) -> LogId:
            body: dict[str, Any] = {"output": output}
            return (await awaited.evaluations.log(run.id, datapoint_id=datapoint_id, log=body)).id

        ids = [asyncio.run(log(output)) for output in ("a", "b", "c")]
        assert [client.logs.get(log_id).output for log_id in ids] == ["a", "b", "c"]
        asyncio.run(awaited.aclose())


def test_many_tasks_at_once_lose_nothing(tmp_path: Path) -> None:
    """Concurrent logs through one async client are all stored, each once."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)

    async def log_all() -> set[LogId]:
        async with AsyncEvrun.local(path) as awaited:
            bound = awaited.run(run.id)
            logged = await asyncio.gather(
                *(bound.log(datapoint_id, log={"output": str(n)}) for n in range(50))
            )
        return {log.id for log in logged}

    ids = asyncio.run(log_all())
    with Evrun.local(path) as client:
        assert len(ids) == 50
        assert client.projects.get(run_project(client)).data_count == 50


def run_project(client: Evrun) -> str:
    (project,) = client.projects.list().records
    return project.id


def test_time_limits_hold(tmp_path: Path) -> None:
    """A limit that is too short ends the call, although there is no socket."""
    with (
        Evrun.local(tmp_path / "evals.db", timeout=1e-6) as client,
        pytest.raises(RequestTimeoutError, match="no answer within 1e-06 s"),
    ):
        client.with_options(max_retries=0).projects.list()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_works(tmp_path: Path) -> None:
    """A child made by fork uses the same client over the same file, and so does its parent."""
    with Evrun.local(tmp_path / "evals.db") as client:
        run, datapoint_id = running(client)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                client.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "child"})
                status = 0
            finally:
                os._exit(status)
        client.evaluations.log(run.id, datapoint_id=datapoint_id, log={"output": "parent"})
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.projects.get(run_project(client)).data_count == 2


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    """Two processes log to one file at the same time; nothing is lost and nobody is locked out."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, datapoint_id = running(client)
        processes = [
            subprocess.Popen([sys.executable, RUN, path, run.id, datapoint_id, "40"])
            for _ in range(2)
        ]
        assert [process.wait(60) for process in processes] == [0, 0]
        assert client.projects.get(run_project(client)).data_count == 80


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_place_that_cannot_be_used_is_named(place: Place, tmp_path: Path) -> None:
    """The constructor says in one line which file and why. No thread is left, and no file made."""
    path = place.prepare(tmp_path)
    before = set(tmp_path.rglob("*")), threading.active_count()
    with pytest.raises(ConfigurationError, match=place.said) as caught:
        Evrun.local(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (set(tmp_path.rglob("*")), threading.active_count()) == before


def test_an_awaited_client_names_the_place_too(tmp_path: Path) -> None:
    """In a running event loop, and before anything is awaited."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="missing does not exist"):
            AsyncEvrun.local(tmp_path / "missing" / "evals.db")

    asyncio.run(main())


def test_a_current_folder_that_was_deleted_is_named(tmp_path: Path) -> None:
    """A relative path means nothing there."""
    folder = tmp_path / "gone"
    folder.mkdir()
    with chdir(folder):
        folder.rmdir()
        with pytest.raises(ConfigurationError, match=r"x\.db: the current folder was deleted"):
            Evrun.local("x.db")


def test_a_database_in_memory_is_refused() -> None:
    """It would not be what several processes share, and gone in the end."""
    with pytest.raises(ConfigurationError, match=r"needs a file, such as evals\.db"):
        Evrun.local(":memory:")


def test_a_client_that_crossed_opens_its_file_when_it_is_used(tmp_path: Path) -> None:
    """Loading it raises nothing, which would break a pool of processes; its first call does."""
    folder = tmp_path / "here"
    folder.mkdir()
    client, awaited = Evrun.local(folder / "evals.db"), AsyncEvrun.local(folder / "evals.db")
    sent = pickle.dumps((client, awaited))
    client.close()
    asyncio.run(awaited.aclose())
    delete_all(folder)
    folder.rmdir()
    client, awaited = pickle.loads(sent)  # noqa: S301 - our own
    with pytest.raises(ConfigurationError, match="here does not exist"):
        client.projects.list()
    with pytest.raises(ConfigurationError, match="here does not exist"):
        asyncio.run(awaited.projects.list())


def test_the_file_is_made_at_once(tmp_path: Path) -> None:
    """A client that never calls leaves an empty database; a link's target is made too."""
    (tmp_path / "link.db").symlink_to(tmp_path / "target.db")
    Evrun.local(tmp_path / "link.db").close()
    assert (tmp_path / "target.db").is_file()
    asyncio.run(AsyncEvrun.local(tmp_path / "other.db").aclose())
    assert (tmp_path / "other.db").is_file()


def test_a_file_that_is_deleted_later_is_told_at_once(tmp_path: Path) -> None:
    """Calls raise a typed error after one attempt, nothing is made; a new client begins anew."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        client.projects.create(name="lost")
        delete_all(tmp_path)
        calls: tuple[Callable[[], object], ...] = (
            client.projects.list,
            lambda: client.projects.create(name="also lost"),
        )
        for call in calls:
            with pytest.raises(ServerError) as caught:
                call()
            told(caught.value, path)
    assert list(tmp_path.iterdir()) == []
    with Evrun.local(path) as client:
        assert client.projects.list().total == 0


def test_a_file_that_is_deleted_later_is_told_to_tasks(tmp_path: Path) -> None:
    """Like the same test of `Evrun`, awaited."""
    path = tmp_path / "evals.db"

    async def main() -> None:
        async with AsyncEvrun.local(path) as client:
            await client.projects.create(name="lost")
            delete_all(tmp_path)
            for call in (client.projects.list(), client.projects.create(name="also lost")):
                with pytest.raises(ServerError) as caught:
                    await call
                told(caught.value, path)

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def delete_all(folder: Path) -> None:
    for each in folder.iterdir():
        each.unlink()


def told(error: ServerError, path: Path) -> None:
    """Fail unless an error says that the file is gone and that nothing was done."""
    assert (error.status, error.attempts) == (503, 1)
    assert not isinstance(error, UnknownOutcomeError)
    assert f"{path}: the database file was moved or deleted while it was open" in str(error)
    assert "close the client and make a new one" in str(error)
    assert "safe to ask again" not in str(error)


def test_closing_is_clean_and_final(tmp_path: Path) -> None:
    """Closing twice is fine; using a closed client is our error."""
    client = Evrun.local(tmp_path / "evals.db")
    client.projects.list()
    client.close()
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        client.projects.list()


def test_a_client_that_is_never_closed_does_not_keep_the_interpreter(tmp_path: Path) -> None:
    """A script that forgets to close ends at once, with nothing on standard error."""
    code = (
        "import sys; from evrun import Evrun; print(Evrun.local(sys.argv[1]).projects.list().total)"
    )
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, tmp_path / "evals.db"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (result.stdout, result.stderr, result.returncode) == ("0\n", "", 0)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded server is an extra; the error names it."""
    monkeypatch.setitem(extras.MODULES, "server", ("starlette", "not_there", "nor_this"))
    match = r"^The embedded server needs not_there, nor_this\. .*pip install 'evrun\[server\]'$"
    with pytest.raises(ConfigurationError, match=match):
        Evrun.local("x.db")
