"""Connections to PostgreSQL that break while it commits: the change may be there, or not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from attrs import define
from sqlalchemy import create_engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from _support.served import Api, Run
from evrun.server import create_key, revoke_key
from evrun.server.db import group_commit
from evrun.server.db.backends.postgresql import Postgresql
from evrun.server.db.database import Database
from evrun.server.db.ids import new_id
from evrun.server.db.tables import evaluation_runs, idempotency_keys, organisations
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.server.store.scope import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from sqlalchemy import Connection

    from _support.databases import Postgres

BUSY = 2.0  # seconds

pytestmark = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


@define
class Losing:
    """A server whose connections are cut off around its next commits."""

    api: Api
    disconnect: Callable[[], object]
    before: int = 0
    """How many are cut off before PostgreSQL hears of the commit."""
    after: int = 0
    """How many before its answer comes."""
    meanwhile: Callable[[], object] = lambda: None
    """What happens before the connection is back."""

    def commit(self, commit: Callable[[Any], None], connection: Any) -> None:
        """Commit, or not, and lose the connection."""
        if connection.read_only or not self.before + self.after:
            commit(connection)
        elif self.before:
            self.before -= 1
            self.disconnect()
            self.meanwhile()
            commit(connection)
            pytest.fail("the connection was cut off")
        else:
            self.after -= 1
            commit(connection)
            self.disconnect()
            self.meanwhile()
            raise psycopg.OperationalError("the connection is lost")


@pytest.fixture
def losing(postgres: Postgres, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Losing]:
    """Return one of two servers of a database."""
    database = Database(url, busy_timeout=BUSY)
    server = EmbeddedServer(database)
    losing = Losing(Api(server.transport(), server.key), lambda: postgres.disconnect(url))
    losing.api.ok("Projects_list")
    backend = database._backend
    assert isinstance(backend, Postgresql)
    assert backend._engine is not None
    dialect = backend._engine.dialect
    monkeypatch.setattr(dialect, "do_commit", partial(losing.commit, dialect.do_commit))
    yield losing
    losing.api.http.close()
    server.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("requests", [1, 8])
def test_what_has_a_key_is_settled(when: str, requests: int, losing: Losing, run: Run) -> None:
    """It is done again: what is there is found, what is not is done, and nothing is there twice."""
    setattr(losing, when, 2)

    def sent(api: Api, number: int) -> httpx.Response:
        """Send a log; 503 says that nothing was done, as to a read that was cut off beside."""
        body = run.log_body(output=f"{number}")
        key = f"{number}"
        while True:
            answer = api.send("Evaluations_log", body, idempotency_key=key, **run.path)
            if answer.status_code != 503:
                return answer

    def log(number: int) -> str:
        answer = sent(losing.api, number)
        assert answer.status_code == 201, answer.text
        assert sent(run.api, number).json() == answer.json()
        log_id: str = answer.json()["id"]
        return log_id

    with ThreadPoolExecutor(requests) as pool:
        logged = list(pool.map(log, range(requests)))
    there = run.api.ok("Logs_list", project_id=run.project_id)["records"]
    assert sorted(logged) == sorted(log["id"] for log in there)
    assert not losing.before + losing.after


@pytest.mark.parametrize("key", [None, "k"])
def test_what_cannot_be_settled_is_left_open(
    key: str | None, losing: Losing, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No 503, which says that nothing was done: a 500 says how to find out."""
    monkeypatch.setattr(group_commit, "_AWAY", 0.0)
    losing.before = 100
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = losing.api.http.post("/projects", json={"name": "p"}, headers=headers)
    assert answer.status_code == 500
    assert "again under the same Idempotency-Key" in answer.json()["detail"]
    assert "Retry-After" not in answer.headers
    assert (losing.before == 99) is (key is None), "only what has a key is done again"
    answer = run.api.send("Projects_create", {"name": "p"}, idempotency_key="k")
    assert answer.status_code == 201


@pytest.mark.parametrize("reason", ["key", "run"])
def test_what_is_done_is_not_refused_afterwards(
    reason: str, losing: Losing, run: Run, database: Database
) -> None:
    """A key that is revoked meanwhile, or a run that goes, says nothing of what was done."""
    key = create_key(database, "doubtful")
    assert losing.api.http.get("/projects", headers={"X-API-KEY": key}).status_code == 200

    def revoke() -> None:
        revoke_key(database, "doubtful")

    def give_away(connection: Connection) -> None:
        other = {"id": new_id("org_"), "name": "other", "created_at": now()}
        connection.execute(insert(organisations).values(other))
        connection.execute(update(evaluation_runs).values(organisation_id=other["id"]))

    losing.meanwhile = revoke if reason == "key" else lambda: database.write(give_away)
    losing.after = 1
    headers = {"Idempotency-Key": "k", "X-API-KEY": key}
    path = f"/evaluations/{run.id}/log"
    answer = losing.api.http.post(path, json=run.log_body(output="x"), headers=headers)
    assert answer.status_code == 500
    assert "the change may be there" in answer.json()["detail"]


def test_a_commit_that_goes_on_elsewhere_is_waited_for_in_time(
    losing: Losing, run: Run, url: str
) -> None:
    """The lost connection may still hold the key: nobody waits for it without an end."""
    engine = create_engine(url)
    held: list[Connection] = []

    def hold() -> None:
        held.append(lost := engine.connect())
        row = {"key": "k", "fingerprint": "", "status": 0, "answer": b"", "created_at": now()}
        row["organisation_id"] = lost.execute(select(organisations.c.id)).scalars().first()
        lost.execute(insert(idempotency_keys).values(row))

    losing.meanwhile = hold
    losing.before = 1
    began = time.monotonic()
    path = f"/evaluations/{run.id}/log"
    answer = losing.api.http.post(
        path, json=run.log_body(output="x"), headers={"Idempotency-Key": "k"}
    )
    assert answer.status_code == 500
    assert time.monotonic() - began < 10 * BUSY
    held[0].close()
    engine.dispose()


def test_what_postgresql_refuses_at_the_commit_is_not_done(database: Database) -> None:
    """Its own word is no broken connection."""

    def work(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE t (id int)")
        connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'not at all' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")

    with pytest.raises(IntegrityError, match="not at all"):
        database.write(work)
