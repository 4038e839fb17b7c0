"""What SQLite's one writer gives for free: PostgreSQL's writers race, and nothing shows of it."""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from attrs import evolve
from sqlalchemy import create_engine, func, make_url, select, text, update

from _support.served import Api, Run, make_evaluator
from evrun.server import (
    ConflictError,
    DatabaseUnusableError,
    UnavailableError,
    create_key,
    list_keys,
)
from evrun.server.db.database import Database
from evrun.server.db.tables import api_keys, evaluation_runs, logs
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Connection

    from _support.databases import Postgres

T = TypeVar("T")


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """Return a database on PostgreSQL."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def both(run: Run, url: str) -> Iterator[tuple[Run, Run]]:
    """Return the same run through two servers that know nothing of each other."""
    other = EmbeddedServer(Database(url))
    api = Api(other.transport(), other.key)
    yield run, evolve(run, api=api)
    api.http.close()
    other.close()


Both = tuple[Run, Run]


def race(*calls: Callable[[], T]) -> list[T]:
    """Make all calls at once, and return the answers in their order."""
    barrier = threading.Barrier(len(calls))

    def ready(call: Callable[[], T]) -> T:
        barrier.wait(10)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(ready, calls))


def all_at_once(both: Both, times: int, call: Callable[[Run], T]) -> list[T]:
    """Make the call so many times on each server, all at once."""
    return race(*(partial(call, run) for run in both * times))


def test_the_newest_log_of_a_datapoint_is_one(both: Both, database: Database) -> None:
    """Two servers log the same datapoint at once: every log is there, and one of them counts."""
    ids = all_at_once(both, 8, lambda run: run.log(output="x")["id"])
    assert len(set(ids)) == 16
    newest = select(logs.c.id).where(logs.c.newest)
    assert len(database.read(lambda connection: connection.execute(newest).all())) == 1
    assert both[0].api.ok("Logs_list", project_id=both[0].project_id)["total"] == 16


def test_a_reference_makes_one_session(both: Both) -> None:
    """However many logs name it first."""
    answers = all_at_once(both, 6, lambda run: run.log(session_reference_id="s"))
    assert len({answer["session_id"] for answer in answers}) == 1


def test_names_and_settings_are_given_once(both: Both) -> None:
    """A new project by name and the same config are one; a second project of a name is a 409."""
    body = {"model": "new", "project": "made by registering"}
    registered = all_at_once(both, 4, lambda run: run.api.ok("ModelConfigs_register", body))
    assert len({(each["config"]["id"], each["project_id"]) for each in registered}) == 1
    created = all_at_once(both, 4, lambda run: run.api.send("Projects_create", {"name": "new"}))
    assert sorted(each.status_code for each in created) == [201] + [409] * 7


def test_a_second_verdict_replaces_the_first(both: Both) -> None:
    """Also when both come at once: one result, under one id."""
    log_id = both[0].log(output="x")["id"]
    verdicts = all_at_once(both, 4, lambda run: run.result(log_id, value=True))
    assert len({verdict["id"] for verdict in verdicts}) == 1


def test_datapoints_keep_positions_of_their_own(both: Both) -> None:
    """Two servers append at once: each row is there once, and those of a request together."""
    rows = [{"inputs": {"n": "1"}}, {"inputs": {"n": "2"}}]
    to = {"dataset_id": both[0].dataset_id}
    all_at_once(both, 4, lambda run: run.api.ok("Datasets_createDatapoint", rows, **to))
    page = both[0].api.ok("Datasets_listDatapoints", size=100, **to)
    assert [row["inputs"]["n"] for row in page["records"]][3:] == ["1", "2"] * 8


def test_evaluators_are_attached_once(both: Both) -> None:
    """Adding one that another server is adding is the harmless repetition that it looks like."""
    body = {"evaluator_ids": [make_evaluator(both[0].api, name=str(n))["id"] for n in range(3)]}
    expected = [both[0].evaluator_id, *body["evaluator_ids"]]
    for answer in all_at_once(
        both, 3, lambda run: run.api.ok("Evaluations_addEvaluators", body, id=run.id)
    ):
        assert [each["id"] for each in answer["evaluators"]] == expected


def test_what_is_used_is_not_deleted_meanwhile(both: Both) -> None:
    """Either the run gets the evaluator and it stays, or it is gone and the run says so."""
    run, other = both
    for _ in range(8):
        evaluator_id = make_evaluator(run.api)["id"]
        body = {"evaluator_ids": [evaluator_id]}
        added, deleted = race(
            partial(run.api.send, "Evaluations_addEvaluators", body, id=run.id),
            partial(other.api.send, "Evaluators_delete", id=evaluator_id),
        )
        assert (added.status_code, deleted.status_code) in {(200, 409), (404, 204)}


def test_no_log_comes_after_the_end(both: Both, database: Database) -> None:
    """What a completed run holds is what was acknowledged before it was completed."""
    run, other = both
    body = run.log_body(output="x")
    log = partial(run.api.send, "Evaluations_log", body, **run.path)
    complete = partial(other.api.send, "Evaluations_updateStatus", {"status": "completed"})
    # A log that came after would be newer than the change of status that it followed.
    late = (
        select(func.count())
        .select_from(logs.join(evaluation_runs, evaluation_runs.c.id == logs.c.run_id))
        .where(logs.c.updated_at > evaluation_runs.c.updated_at)
    )
    for _ in range(6):
        run.set("running")
        *answers, completed = race(log, log, log, log, partial(complete, id=run.id))
        assert completed.status_code == 200
        assert {each.status_code for each in answers} <= {201, 422}
        assert database.read(lambda connection: connection.execute(late).scalar_one()) == 0


def test_changes_of_a_log_add_up(both: Both) -> None:
    """Two servers change different fields of one log at once, and both changes are there."""
    run, other = both
    log_id = run.log(output="x")["id"]
    for number in range(6):
        race(
            partial(run.api.ok, "Logs_update", {"output": f"o{number}"}, id=log_id),
            partial(other.api.ok, "Logs_update", {"error": f"e{number}"}, id=log_id),
        )
        shown = run.api.ok("Logs_get", id=log_id)
        assert (shown["output"], shown["error"]) == (f"o{number}", f"e{number}")


def test_a_key_in_flight_elsewhere_is_waited_for(both: Both) -> None:
    """The same idempotency key at two servers: it is done once, and everyone gets its answer.

    A project's name shows whether the second looks before it waits: it would find the name taken.
    """
    for number in range(4):
        body = {"name": f"p{number}"}
        answers = all_at_once(
            both,
            4,
            lambda run, body=body: run.api.send(  # type: ignore[misc]
                "Projects_create", body, idempotency_key=body["name"]
            ),
        )
        assert {each.content for each in answers} == {answers[0].content}
        assert answers[0].status_code == 201
        assert sum("Idempotent-Replayed" not in each.headers for each in answers) == 1


def test_names_of_keys_are_given_once(database: Database, url: str) -> None:
    """Two administrators make a key of the same name: one gets it, the other a Conflict."""
    other = Database(url)

    def create(each: Database) -> bool:
        try:
            create_key(each, "ci")
        except ConflictError:
            return False
        return True

    assert sorted(race(partial(create, database), partial(create, other))) == [False, True]
    assert len(list_keys(database)) == 1
    other.close()


def test_texts_are_compared_bytewise(database: Database) -> None:
    """As in SQLite, whatever the database's own collation is."""
    columns = text(
        "SELECT table_name || '.' || column_name, collation_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type IN ('text', 'character varying')"
    )
    rows = database.read(lambda connection: connection.execute(columns).all())
    otherwise = {name for name, collation in rows if collation != "C"}
    # What is only compared for equality, or has one of few values.
    assert {name.partition(".")[2] for name in otherwise} <= {
        *("sha256", "hint", "fingerprint", "version_num"),
        *("type", "status", "scope", "arguments_type", "return_type"),
    }
    assert len(rows) - len(otherwise) > 50


def test_commits_are_durable(postgres: Postgres, url: str) -> None:
    """Also where the database's own settings say otherwise; stronger ones stay."""
    name = make_url(url).database
    for configured, expected in (("off", "on"), ("remote_apply", "remote_apply")):
        postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = '{configured}'")
        database = Database(url)
        shown = database.write(lambda c: c.exec_driver_sql("SHOW synchronous_commit").scalar())
        assert shown == expected
        database.close()


def test_reading_sees_one_state_and_writes_nothing(database: Database) -> None:
    """What others commit meanwhile stays unseen until the next read."""

    def read(connection: Connection) -> list[Any]:
        count = select(func.count()).select_from(api_keys)
        before = connection.execute(count).scalar_one()
        create_key(database, "meanwhile")
        return [before, connection.execute(count).scalar_one()]

    assert database.read(read) == [0, 0]
    with pytest.raises(UnavailableError, match="read-only"):
        database.read(lambda c: c.exec_driver_sql("DELETE FROM api_keys"))


def test_an_object_that_stays_locked_is_503(run: Run, url: str) -> None:
    """After the time that a write waits; what is not locked is not kept waiting."""
    impatient = EmbeddedServer(Database(url, busy_timeout=0.2))
    api = Api(impatient.transport(), impatient.key)
    blocker = Database(url)

    def work(connection: Connection) -> None:
        row = select(evaluation_runs).where(evaluation_runs.c.id == run.id).with_for_update()
        connection.execute(row)
        response = api.send("Evaluations_log", run.log_body(output="x"), **run.path)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"
        assert "locked by another writer" in response.json()["detail"]
        api.ok("Projects_create", {"name": "elsewhere"})

    blocker.write(work)
    api.ok("Evaluations_log", run.log_body(output="x"), **run.path)
    blocker.close()
    api.http.close()
    impatient.close()


def test_a_lock_is_waited_for_once(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited in vain is told; whoever could not even begin meanwhile does not wait too."""
    impatient = Database(url, busy_timeout=1)
    writing = impatient._backend.writing
    begun: list[bool] = []

    def counted(*, patient: bool) -> AbstractContextManager[Connection]:
        begun.append(patient)
        return writing(patient=patient)

    monkeypatch.setattr(impatient._backend, "writing", counted)
    create_key(database, "locked")
    change = update(api_keys).values(hint="changed")

    def hold(connection: Connection) -> list[Exception | None]:
        connection.execute(select(api_keys).with_for_update())
        futures = [impatient.submit(lambda c: c.execute(change)) for _ in range(20)]
        return [future.exception(60) for future in futures]  # type: ignore[misc]

    refusals = database.write(hold)
    assert {type(refusal) for refusal in refusals} == {UnavailableError}
    assert sum(begun) <= 8  # as many as have a thread to wait in
    impatient.close()


def test_lost_connections_are_replaced(database: Database, postgres: Postgres, url: str) -> None:
    """After PostgreSQL ended them all, the next use connects anew."""
    create_key(database, "first")
    postgres.disconnect(url)
    time.sleep(0.2)
    create_key(database, "second")
    assert [key.name for key in list_keys(database)] == ["first", "second"]


def test_a_connection_lost_in_the_middle_is_503(database: Database) -> None:
    """Nothing of the work is there, and the sentence says what happened."""

    def work(connection: Connection) -> None:
        connection.execute(api_keys.delete())
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(UnavailableError, match=r"starting or stopping|cannot be reached"):
        database.write(work)
    create_key(database, "afterwards")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("idle_in_transaction_session_timeout", "a transaction that idled too long"),
        ("transaction_timeout", "a transaction that took longer than it allows"),
    ],
)
def test_a_transaction_that_postgresql_ends_is_503(
    database: Database, setting: str, sentence: str
) -> None:
    """Its own limits are no defect of ours."""

    def work(connection: Connection) -> None:
        connection.execute(api_keys.delete())
        connection.exec_driver_sql(f"SET LOCAL {setting} = '50ms'")
        time.sleep(0.5)
        connection.execute(api_keys.delete())

    with pytest.raises(UnavailableError, match=sentence):
        database.write(work)
    create_key(database, "afterwards")


def test_a_host_that_vanishes_is_noticed(url: str) -> None:
    """Connections to it end in seconds rather than hours, unless the URL says otherwise."""

    def patience(url: URL) -> dict[str, str]:
        database = Database(url.render_as_string(hide_password=False))
        found = database.read(lambda c: c.connection.driver_connection.info.get_parameters())  # type: ignore[union-attr]
        database.close()
        names = ("connect_timeout", "tcp_user_timeout")
        return {k: v for k, v in found.items() if k in names or k.startswith("keepalives")}

    ours = {
        "connect_timeout": "10",
        "keepalives_idle": "10",
        "keepalives_interval": "3",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }
    assert patience(make_url(url)) == ours
    other = {"connect_timeout": "5", "tcp_user_timeout": "0", "keepalives": "0"}
    assert patience(make_url(url).update_query_dict(other)) == {**ours, **other}


def test_a_server_that_says_nothing_cannot_be_reached() -> None:
    """It takes the connection and no more, as one that is stopped does: 503 before long."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"postgresql://u@127.0.0.1:{port}/d?connect_timeout=2")
        with pytest.raises(UnavailableError, match="PostgreSQL cannot be reached. Does it run"):
            database.open()


def test_a_locked_object_keeps_only_its_own_work_waiting(database: Database, url: str) -> None:
    """What waits for another writer waits aside; what came with it is committed meanwhile."""
    other = Database(url)
    for name in ("locked", "free"):
        create_key(database, name)

    def rename(name: str) -> Callable[[Connection], Any]:
        change = update(api_keys).where(api_keys.c.name == name).values(hint="changed")
        return lambda connection: connection.execute(change).rowcount

    def hold(connection: Connection) -> Future[int]:
        row = select(api_keys).where(api_keys.c.name == "locked").with_for_update()
        connection.execute(row)
        waiting, free = (database.submit(rename(name)) for name in ("locked", "free"))
        assert free.result(10) == 1
        assert not waiting.done()
        return waiting

    assert other.write(hold).result(10) == 1
    assert {key.hint for key in list_keys(database)} == {"changed"}
    other.close()


def test_a_pool_without_threads_keeps_nobody_waiting(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What should wait for another writer is refused, and not done later all the same."""
    other = Database(url)
    create_key(database, "locked")
    change = update(api_keys).values(hint="changed")
    database.write(lambda connection: connection.execute(select(api_keys)).rowcount)  # its thread

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def hold(connection: Connection) -> None:
        connection.execute(select(api_keys).with_for_update())
        with monkeypatch.context() as short:
            short.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(UnavailableError, match="no thread left"):
                database.write(lambda connection: connection.execute(change).rowcount)

    other.write(hold)
    other.close()
    assert {key.hint for key in list_keys(database)} != {"changed"}


def test_where_nothing_is_reached(url: str) -> None:
    """The sentence has PostgreSQL's own reason, and never the password."""
    nowhere = make_url(url).set(database="nowhere", password="secret")
    for address, reason in (
        (nowhere, 'database "nowhere" does not exist'),
        (nowhere.set(query={"host": "/no/such/folder"}), "No such file or directory"),
    ):
        database = Database(address.render_as_string(hide_password=False))
        with pytest.raises((UnavailableError, DatabaseUnusableError), match=reason) as caught:
            database.open()
        assert "secret" not in str(caught.value) + repr(database)


def test_somebody_elses_database_is_refused(postgres: Postgres) -> None:
    """Its tables stay as they are, and none is added."""
    url = postgres.create(empty=True)
    engine = create_engine(url)

    def everything() -> list[Any]:
        # The catalogue has a row for whatever is made, with the transaction that last changed it.
        with engine.begin() as connection:
            return [
                connection.execute(
                    select(text("xmin::text, t::text")).select_from(text(each))
                ).all()
                for each in ("recipes t", "pg_class t", "pg_attribute t", "pg_namespace t")
            ]

    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE recipes (id int)")
        connection.exec_driver_sql("INSERT INTO recipes VALUES (1)")
    before = everything()
    with pytest.raises(DatabaseUnusableError, match=r"something else \(recipes…\)"):
        Database(url).open()
    assert everything() == before
    engine.dispose()
    postgres.drop(url)


def test_a_name_beyond_an_index_is_422(api: Api) -> None:
    """PostgreSQL indexes a few kilobytes of a text that does not repeat itself."""
    name = "".join(f"{n:x}" for n in range(5000))
    assert api.refused("Projects_create", {"name": name}) == (["body"], "string_too_long")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_connects_anew(database: Database) -> None:
    """Parent and child go on with the same object, over connections of their own."""
    create_key(database, "before")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            create_key(database, "child")
            database.close()
            status = 0
        finally:
            os._exit(status)
    create_key(database, "parent")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {key.name for key in list_keys(database)} == {"before", "child", "parent"}
