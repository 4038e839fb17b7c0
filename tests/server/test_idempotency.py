from __future__ import annotations

import itertools
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from _support.served import Api, Run, conforms, contract_operations
from evrun import __version__
from evrun.server import create_key
from evrun.server.api.app import ANNOUNCED, create_app
from evrun.server.api.routes import OPERATIONS
from evrun.server.db.database import Database
from evrun.server.db.organisations import find_or_create
from evrun.server.db.tables import api_keys, evaluation_runs, idempotency_keys
from evrun.server.hosting.embedded import EmbeddedServer
from evrun.server.hosting.loop_thread import LoopThread
from evrun.server.store import idempotency, scope
from evrun_models.contract import SHA256

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from sqlalchemy import Connection

pytestmark = pytest.mark.both_databases

REPLAYED = "Idempotent-Replayed"
REUSED = (["header", "Idempotency-Key"], "idempotency_key_reused")


def send(run: Run, key: str, datapoint: int = 0, /, **log: Any) -> httpx.Response:
    """Log under an idempotency key."""
    body = run.log_body(datapoint, **log)
    return run.api.send("Evaluations_log", body, idempotency_key=key, **run.path)


def outputs(run: Run) -> list[str | None]:
    """Return the outputs of the project's logs, newest first."""
    listed = run.api.ok("Logs_list", project_id=run.project_id, size=1000)
    assert listed["total"] <= 1000  # all are on one page
    return [log["output"] for log in listed["records"]]


def complaint(response: httpx.Response) -> tuple[Any, str]:
    """Return the place and the type of the one complaint of a 422."""
    assert response.status_code == 422, response.text
    (detail,) = response.json()["detail"]
    return detail["loc"], detail["type"]


def test_the_same_request_gets_the_first_answer_again(run: Run) -> None:
    """Status and body are those of the first, a header says so, and nothing is done twice."""
    first = send(run, "k", output="x")
    again = send(run, "k", output="x")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"
    assert outputs(run) == ["x"]


def test_without_a_key_every_request_counts(run: Run) -> None:
    """As before."""
    assert run.log(output="x")["id"] != run.log(output="x")["id"]
    assert outputs(run) == ["x", "x"]


def test_every_post_can_be_repeated(api: Api) -> None:
    """A second project of the same name would be a 409; under the same key it is the first one."""
    posts = {name for name, operation in OPERATIONS.items() if operation.method == "POST"}
    assert {name for name in posts if "Idempotency-Key" in _headers(name)} == posts
    answers = [
        api.send("Projects_create", {"name": "p"}, idempotency_key="k").content for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert api.send("Projects_create", {"name": "p"}).status_code == 409


def _headers(name: str) -> set[str]:
    parameters = contract_operations()[name][2]["parameters"]
    return {each["name"] for each in parameters if each["in"] == "header"}


def test_another_request_under_the_key_is_422(run: Run) -> None:
    """Another body, another path and another query, also where it could not be read at all."""
    send(run, "k", output="x")
    assert complaint(send(run, "k", output="y")) == REUSED
    assert complaint(run.api.send("Projects_create", {"name": "p"}, idempotency_key="k")) == REUSED
    body = run.log_body(output="x")
    query = {**run.path, "evaluatee_id": run.evaluatee_id}
    assert complaint(run.api.send("Evaluations_log", body, idempotency_key="k", **query)) == REUSED
    broken = run.api.send("Evaluations_log", content=b"{", idempotency_key="k", **run.path)
    assert complaint(broken) == REUSED
    assert outputs(run) == ["x"]


@pytest.mark.parametrize("headers", [("k", '"k"'), ('"a\\"b"', 'a"b'), ('"a\\\\b"', "a\\b")])
def test_a_quoted_key_is_the_bare_one(run: Run, headers: tuple[str, str]) -> None:
    """The draft quotes keys, most clients do not."""
    first, again = (send(run, each, output="x") for each in headers)
    assert again.content == first.content
    assert again.headers[REPLAYED] == "true"


def test_a_key_may_have_255_characters(run: Run) -> None:
    """All of them count."""
    first, other = send(run, "k" * 255, output="x"), send(run, "k" * 254 + "l", output="x")
    assert first.json() != other.json()


@pytest.mark.parametrize(
    "key", ["", "k" * 256, "a b", '""', '"a b"', "\x7f", b"k\xe9".decode("latin-1")]
)
def test_a_bad_key_is_422(run: Run, key: str) -> None:
    """Empty, too long, or not of visible ASCII: the sentence says what a key is."""
    response = run.api.http.post(
        f"/evaluations/{run.id}/log",
        json=run.log_body(output="x"),
        headers=[(b"Idempotency-Key", key.encode("latin-1"))],
    )
    conforms(response, "Evaluations_log")
    assert complaint(response) == (["header", "Idempotency-Key"], "idempotency_key_invalid")
    assert "visible ASCII" in response.json()["detail"][0]["msg"]
    assert outputs(run) == []


def test_two_keys_are_none(run: Run) -> None:
    """Nobody could say which of them counts."""
    response = run.api.http.post(
        f"/evaluations/{run.id}/log",
        json=run.log_body(output="x"),
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )
    assert complaint(response)[1] == "idempotency_key_invalid"


def test_who_asks_is_settled_first(run: Run) -> None:
    """Without a key to the server there is no answer to repeat, and no word about its keys."""
    send(run, "k", output="x")
    stranger = Api(run.api.http._transport, "evk_wrong")
    for key in ("k", "not a key"):
        sent = stranger.send(
            "Evaluations_log", run.log_body(output="x"), idempotency_key=key, **run.path
        )
        assert sent.status_code == 401


def test_refused_requests_leave_the_key_unused(run: Run) -> None:
    """A 422 and a 404 changed nothing, so that the same key may succeed later."""
    run.set("completed")
    assert complaint(send(run, "k", output="x"))[1] == "run_status"
    run.set("running")
    assert send(run, "k", output="x").status_code == 201
    body = {"log_id": "data_nothing", "evaluator_id": run.evaluator_id, "result": True}
    for _ in range(2):
        missing = run.api.send("Evaluations_result", body, idempotency_key="r", **run.path)
        assert (missing.status_code, REPLAYED in missing.headers) == (404, False)


def test_patch_ignores_the_header(run: Run) -> None:
    """PATCH is harmless to repeat as it is, and its answer is always the present one."""
    for status in ("completed", "running"):
        answer = run.api.send(
            "Evaluations_updateStatus", {"status": status}, idempotency_key="k", id=run.id
        )
        assert answer.json()["status"] == status


def test_organisations_have_keys_of_their_own(run: Run, database: Database) -> None:
    """The same key and request from another organisation is a request of its own."""
    key = create_key(database, "other")

    def move(connection: Any) -> None:
        other = find_or_create(connection, "other")
        connection.execute(update(api_keys).values(organisation_id=other))

    database.write(move)
    other = Api(run.api.http._transport, key)
    answers = [
        each.send("Projects_create", {"name": "mine"}, idempotency_key="k").json()["id"]
        for each in (run.api, other, run.api, other)
    ]
    assert answers[0] == answers[2] != answers[1] == answers[3]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Return what moves the clock that keys expire by."""

    def move(by: timedelta) -> None:
        def clock() -> datetime:
            return scope.now() + by

        monkeypatch.setattr(idempotency, "now", clock)

    return move


def test_a_key_expires_a_day_after_its_first_use(
    run: Run, later: Callable[[timedelta], None]
) -> None:
    """A replay does not prolong it; afterwards it is a new key, for any request."""
    first = send(run, "k", output="x")
    later(timedelta(hours=23, minutes=59))
    assert send(run, "k", output="x").content == first.content
    later(timedelta(hours=24, minutes=1))
    assert send(run, "k", output="y").status_code == 201
    assert complaint(send(run, "k", output="x")) == REUSED
    assert outputs(run) == ["y", "x"]
    announced = re.fullmatch(r"idempotency=(\d+), batch=\d+", ANNOUNCED)
    assert announced is not None
    assert timedelta(seconds=int(announced[1])) == timedelta(hours=24)


def test_expired_keys_go_as_new_ones_come(
    run: Run, database: Database, later: Callable[[timedelta], None]
) -> None:
    """In small steps, so that no request has to clear up after thousands."""
    for number in range(25):
        send(run, f"old-{number}", output="x")
    later(timedelta(hours=25))
    counts = []
    for number in range(4):
        send(run, f"new-{number}", output="x")
        count = select(func.count()).select_from(idempotency_keys)
        counts.append(database.read(lambda connection: connection.execute(count).scalar_one()))  # noqa: B023
    assert counts == [16, 7, 3, 4]


def test_a_key_outlives_the_server(run: Run, server: EmbeddedServer, url: str) -> None:
    """Another server on the same database gives the answer that the first gave."""
    first = send(run, "k", output="x")
    server.close()
    reopened = EmbeddedServer(Database(url))
    api = Api(reopened.transport(), reopened.key)
    body = run.log_body(output="x")
    again = api.send("Evaluations_log", body, idempotency_key="k", **run.path)
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
    api.http.close()
    reopened.close()


def test_a_repetition_waits_for_the_first_and_repeats_it(run: Run, url: str) -> None:
    """All are under way at once, because another process keeps the run to itself."""
    other = Database(url)
    with ThreadPoolExecutor(8) as pool:

        def hold(connection: Connection) -> list[Future[httpx.Response]]:
            row = select(evaluation_runs).where(evaluation_runs.c.id == run.id)
            connection.execute(row.with_for_update())
            sent = [pool.submit(send, run, "k", output="x") for _ in range(8)]
            time.sleep(0.3)
            assert not any(each.done() for each in sent)
            return sent

        answers = [each.result(30) for each in other.write(hold)]
    other.close()
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (201, answers[0].content)
    }
    assert [REPLAYED in answer.headers for answer in answers].count(False) == 1
    assert outputs(run) == ["x"]


NUMBERS = itertools.count()

# A key, and which of two requests is sent under it.
REQUESTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=1, max_size=24
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests=REQUESTS, together=st.integers(1, 8))
def test_one_log_for_each_key(run: Run, requests: list[tuple[str, str]], together: int) -> None:
    """However repeats interleave, each key has one log, one answer, and one request of its own."""
    run_keys = f"{next(NUMBERS)}-"
    before = run.api.ok("Logs_list", project_id=run.project_id)["total"]
    with ThreadPoolExecutor(together) as pool:
        answers = list(
            pool.map(lambda each: send(run, run_keys + each[0], output=each[1]), requests)
        )
    for key in {key for key, _ in requests}:
        mine = [
            (output, answer)
            for (each, output), answer in zip(requests, answers, strict=True)
            if each == key
        ]
        good = [(output, answer) for output, answer in mine if answer.status_code == 201]
        assert len({(output, answer.content) for output, answer in good}) == 1
        assert [REPLAYED in answer.headers for _, answer in good].count(False) == 1
        for output, answer in mine:
            assert (answer.status_code == 422) == (output != good[0][0])
    after = run.api.ok("Logs_list", project_id=run.project_id)["total"]
    ids = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(ids) == len({key for key, _ in requests})
    assert after - before == len(ids)


def test_every_answer_announces_it(database: Database) -> None:
    """Whatever the status, and where nothing is too; `/healthz` says which server it is."""
    host = LoopThread(create_app(database, local_key="k"))
    try:
        for method, path, key, status in (
            ("GET", "/v4/projects", "k", 200),
            ("POST", "/v4/projects", "k", 422),
            ("GET", "/v4/projects", "wrong", 401),
            ("GET", "/v4/nothing", "k", 404),
            ("GET", "/", "", 404),
            ("DELETE", "/v4/projects", "k", 405),
            ("GET", "/healthz", "", 200),
        ):
            request = httpx.Request(method, f"http://x{path}", headers={"X-API-KEY": key})
            response = host.submit(request, b"").result(10)
            assert response.status_code == status
            assert response.headers["Evrun-Capabilities"] == "idempotency=86400, batch=1000"
    finally:
        host.stop()
    assert response.json() == {"status": "ok", "version": __version__, "contract": SHA256}
