from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select

from _support.served import Api, make_run
from evrun.server import NotFoundError
from evrun.server.db.database import Database
from evrun.server.db.ids import new_id
from evrun.server.db.tables import organisations
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.server.store.scope import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import httpx
    from sqlalchemy import Connection

    from evrun.server.errors import ApiError

pytestmark = pytest.mark.both_databases


def adding(name: str, then: Exception | None = None) -> Callable[[Connection], str]:
    """Return work that writes a row, and is refused after that if it is told so."""

    def work(connection: Connection) -> str:
        values = {"id": new_id("org_"), "name": name, "created_at": now()}
        connection.execute(insert(organisations).values(values))
        if then is not None:
            raise then
        return name

    return work


def names(database: Database) -> set[str]:
    """Return the rows that are there, without the one that is there from the start."""
    query = select(organisations.c.name)
    found = database.read(lambda connection: connection.execute(query).scalars().all())
    return set(found) - {"default"}


@pytest.fixture
def commits(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that grows by each transaction that writes."""
    seen: list[bool] = []
    backend = database._backend
    writing = backend.writing

    @contextmanager
    def counted(*, patient: bool) -> Iterator[Connection]:
        seen.append(patient)
        with writing(patient=patient) as connection:
            yield connection

    monkeypatch.setattr(backend, "writing", counted)
    return seen


@contextmanager
def busy(database: Database) -> Iterator[None]:
    """Keep the writer busy, so that what is submitted waits."""
    started, free = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        started.set()
        assert free.wait(30)

    held = database.submit(hold)
    assert started.wait(10)
    try:
        yield
    finally:
        free.set()
    held.result(10)


def together(database: Database, *works: Callable[[Connection], Any]) -> list[Future[Any]]:
    """Submit work while other work is under way, so that it waits together."""
    with busy(database):
        return [database.submit(work) for work in works]


def asked(database: Database, *questions: tuple[Adding, str]) -> list[Future[Any]]:
    """Ask questions while other work is under way; those to the same work are of a kind."""
    with busy(database):
        return [database.ask(id(work), work, name) for work, name in questions]


def test_what_waits_together_is_committed_together(database: Database, commits: list[bool]) -> None:
    """Twenty pieces of work that wait while one is under way take one commit."""
    futures = together(database, *(adding(str(n)) for n in range(20)))
    assert [future.result(10) for future in futures] == [str(n) for n in range(20)]
    assert len(commits) == 2
    assert names(database) == {str(n) for n in range(20)}


def test_a_refusal_undoes_only_itself(database: Database) -> None:
    """Whoever is refused, by us or by a defect, leaves nothing and harms nobody."""
    kept, refused, kept_too, broken = together(
        database,
        adding("a"),
        adding("b", NotFoundError("b is not there")),
        adding("c"),
        adding("d", ZeroDivisionError("a defect")),
    )
    assert (kept.result(10), kept_too.result(10)) == ("a", "c")
    with pytest.raises(NotFoundError, match="b is not there"):
        refused.result(10)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        broken.result(10)
    assert names(database) == {"a", "c"}


def test_work_sees_what_went_before_it(database: Database) -> None:
    """In the order in which it was submitted, also within one commit."""

    def look(connection: Connection) -> bool:
        query = select(organisations.c.id).where(organisations.c.name == "a")
        return connection.execute(query).first() is not None

    before, _, after = together(database, look, adding("a"), look)
    assert (before.result(10), after.result(10)) == (False, True)


def test_an_answer_comes_after_its_commit(database: Database, url: str) -> None:
    """When the future is done, another process sees the row."""
    other = Database(url)
    seen: list[set[str]] = []
    futures = together(database, *(adding(str(n)) for n in range(5)))
    futures[0].add_done_callback(lambda _: seen.append(names(other)))
    for future in futures:
        future.result(10)
    assert seen == [{str(n) for n in range(5)}]
    other.close()


def test_what_spoils_the_transaction_harms_nobody_else(database: Database) -> None:
    """One whose statement fails in the database itself: the others are done without it."""

    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT nonsense FROM nowhere")

    first, failed, last = together(database, adding("a"), fail, adding("b"))
    assert (first.result(10), last.result(10)) == ("a", "b")
    with pytest.raises(Exception, match="nowhere"):
        failed.result(10)
    assert names(database) == {"a", "b"}


# --- Questions of a kind -----------------------------------------------------------------------


class Adding:
    """Work that adds rows, all that wait at once."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, connection: Connection, names: Sequence[str]) -> list[str | ApiError]:
        self.calls.append(list(names))
        answers: list[str | ApiError] = []
        for name in names:
            if name == "defect":
                raise ZeroDivisionError
            answers.append(NotFoundError(name) if name == "refused" else adding(name)(connection))
        return answers


def test_what_is_of_a_kind_is_asked_at_once(database: Database) -> None:
    """Each gets its own answer; what is refused harms nobody; other kinds are asked apart."""
    one, two = Adding(), Adding()
    a, b, refused, c, d = asked(
        database, (one, "a"), (two, "b"), (one, "refused"), (one, "c"), (two, "d")
    )
    assert [each.result(10) for each in (a, b, c, d)] == ["a", "b", "c", "d"]
    with pytest.raises(NotFoundError):
        refused.result(10)
    assert (one.calls, two.calls) == ([["a", "refused", "c"]], [["b", "d"]])
    assert names(database) == {"a", "b", "c", "d"}


def test_what_fails_at_once_is_asked_one_by_one(database: Database) -> None:
    """So that nobody pays for another's defect; and nothing is there twice."""
    work = Adding()
    a, defect, b = asked(database, (work, "a"), (work, "defect"), (work, "b"))
    assert (a.result(10), b.result(10)) == ("a", "b")
    with pytest.raises(ZeroDivisionError):
        defect.result(10)
    assert work.calls == [["a", "defect", "b"], ["a"], ["defect"], ["b"]]
    assert names(database) == {"a", "b"}


def test_a_question_that_is_refused_alone_raises(database: Database) -> None:
    """Nobody else waits: the answer is the same."""
    with pytest.raises(NotFoundError):
        database.ask("x", Adding(), "refused").result(10)
    assert database.ask("x", Adding(), "a").result(10) == "a"


def test_logs_that_wait_together_are_recorded_together(
    database: Database, commits: list[bool]
) -> None:
    """Of two runs, some refused and one twice: each is answered as if it were the only one."""
    server = EmbeddedServer(database)
    api = Api(server.transport(), server.key)
    run, other = make_run(api), make_run(api, project="other")
    bodies = [run.log_body(output=str(n)) for n in range(10)]
    first = [(run, body, f"k{n}") for n, body in enumerate(bodies)]
    nowhere = {**bodies[0], "datapoint_id": "evtc_1"}
    second = [(run, bodies[0], "k0"), (run, bodies[1], "k0"), (run, nowhere, "k10")]
    second.append((other, other.log_body(output="x"), "k11"))
    with ThreadPoolExecutor(len(first) + len(second)) as threads:
        sent: list[Future[httpx.Response]] = []
        with busy(database):
            before = len(commits)
            for wave in (first, second):
                for of, body, key in wave:
                    send = partial(of.api.send, "Evaluations_log", body, idempotency_key=key)
                    sent.append(threads.submit(send, **of.path))
                while len(database._commits._waiting) < len(sent):
                    time.sleep(0.005)
        answers = [each.result(30) for each in sent]
    assert len(commits) == before + 1
    assert [each.status_code for each in answers] == [201] * 10 + [201, 422, 422, 201]
    ids = [each.json()["id"] for each in answers[:10]]
    assert answers[10].json()["id"] == ids[0]
    assert answers[10].headers["Idempotent-Replayed"] == "true"
    listed = api.ok("Logs_list", project_id=run.project_id, size=100)
    assert [log["id"] for log in listed["records"]] == sorted(ids, reverse=True)
    shown = api.ok("Evaluations_listDatapoints", id=run.id)["records"][0]
    assert shown["log"]["id"] == max(ids)
    api.http.close()
    server.close()


# --- Its end -----------------------------------------------------------------------------------


def test_a_write_that_was_cancelled_in_time_is_not_done(database: Database) -> None:
    """As for a client that hung up while it waited."""
    with busy(database):
        given_up, kept = database.submit(adding("a")), database.submit(adding("b"))
        assert given_up.cancel()
    assert kept.result(10) == "b"
    assert names(database) == {"b"}


def test_closing_waits_for_what_was_submitted_and_ends_the_thread(database: Database) -> None:
    """Nothing is lost, no thread stays, and using it again starts one again."""
    before = threading.active_count()
    futures = [database.submit(adding(str(n))) for n in range(5)]
    database.close()
    assert all(future.done() for future in futures)
    assert threading.active_count() == before
    assert database.write(adding("later")) == "later"
    assert len(names(database)) == 6


def test_a_machine_without_threads_keeps_nobody_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks then does the work, also what waited before; later there is a thread again."""
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", no_thread)
        assert database.write(adding("here")) == "here"
        with pytest.raises(NotFoundError, match="refused"):
            database.write(adding("undone", then=NotFoundError("refused")))
    assert database.write(adding("in a thread")) == "in a thread"
    assert names(database) == {"here", "in a thread"}


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_defect_of_the_writer_keeps_nobody_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised where the work came from, and the thread goes on."""
    with monkeypatch.context() as broken:
        broken.setattr(database._commits, "_commit", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            database.write(adding("lost"))
    assert database.write(adding("served")) == "served"


def test_the_thread_ends_by_itself(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is forgotten leaves nothing behind."""
    monkeypatch.setattr("evrun.server.db.group_commit._IDLE", 0.01)
    database.write(adding("a"))
    thread = database._commits._thread
    if thread is not None:
        thread.join(10)
    assert database._commits._thread is None
    assert database.write(adding("b")) == "b"
