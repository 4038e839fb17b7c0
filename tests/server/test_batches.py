from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from _support.served import conforms, contract, make_run
from evrun.server.api import batches
from evrun.server.api.limits import BODY_LIMIT
from evrun.server.db.tables import sessions

if TYPE_CHECKING:
    import httpx

    from _support.served import Api, Run
    from evrun.server.db.database import Database

REPLAYED = "Idempotent-Replayed"


def item(run: Run, output: str = "x", key: str | None = None, /, **fields: Any) -> Any:
    """Return one of many logs."""
    body = {"datapoint_id": run.datapoint_ids[0], "log": {"output": output}, **fields}
    return body if key is None else {**body, "idempotency_key": key}


def send(run: Run, logs: list[Any], /, key: str | None = None) -> list[Any]:
    """Log many and return the results."""
    answer = run.api.ok("Evaluations_logMany", {"logs": logs}, idempotency_key=key, **run.path)
    results: list[Any] = answer["results"]
    return results


def single(run: Run, key: str, output: str = "x", **query: Any) -> httpx.Response:
    """Log one by the single call."""
    body = run.log_body(output=output)
    return run.api.send("Evaluations_log", body, idempotency_key=key, **run.path, **query)


def outputs(run: Run) -> list[str | None]:
    """Return the outputs of the project's logs, newest first."""
    listed = run.api.ok("Logs_list", project_id=run.project_id, size=1000)
    return [log["output"] for log in listed["records"]]


@pytest.mark.both_databases
def test_each_log_gets_its_answer_in_order(run: Run) -> None:
    """The last one for a datapoint counts."""
    results = send(run, [item(run, output) for output in "abc"])
    logs = [run.api.ok("Logs_get", id=each["log"]["id"]) for each in results]
    assert [log["output"] for log in logs] == ["a", "b", "c"]
    assert [(each["status"], each["replayed"]) for each in results] == [(201, False)] * 3
    assert outputs(run) == ["c", "b", "a"]
    first = run.api.ok("Evaluations_listDatapoints", id=run.id)["records"][0]
    assert first["log"]["output"] == "c"


LONG = "".join(f"{n:x}" for n in range(2000))
"""A text that no compression makes short enough for an index."""

REFUSED: dict[str, tuple[Any, tuple[int, str]]] = {
    "datapoint": ({"datapoint_id": "nowhere"}, (422, "body.datapoint_id not_in_dataset")),
    "evaluatee": ({"evaluatee_id": "evv_1"}, (404, "has no evaluatee")),
    "session": ({"log": {"session_id": "sesh_1"}}, (404, "no session sesh_1")),
    # The session is made before the time is looked at.
    "late": (
        {"log": {"session_reference_id": "s", "created_at": "9999-12-31T23:59:59-01:00"}},
        (422, "body.log.created_at datetime_range"),
    ),
    "missing": ({"datapoint_id": None}, (422, "body.datapoint_id string_type")),
    "pattern": ({"evaluatee_id": "x"}, (422, "body.evaluatee_id string_pattern_mismatch")),
    "key": ({"idempotency_key": "a b"}, (422, "body.idempotency_key string_pattern_mismatch")),
    "surrogate": ({"log": {"output": "\ud800"}}, (422, "body json_invalid")),
    "nul": ({"log": {"reference_id": "a\0b"}}, (422, "body.log.reference_id nul_character")),
    "reference": ({"log": {"reference_id": LONG}}, (422, "body.log.reference_id too_long")),
    "session reference": (
        {"log": {"session_reference_id": LONG}},
        (422, "body.log.session_reference_id too_long"),
    ),
    "infinity": ({"log": {"duration": 1e999}}, (422, "body.log.duration finite_number")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_log_harms_no_other(run: Run, database: Database, name: str) -> None:
    """It gets the single call's answer in its place, and leaves nothing behind."""
    fields, expected = REFUSED[name]
    results = send(run, [item(run, "a"), {**item(run), **fields}, item(run, "b")])
    assert [each["status"] for each in results] == [201, expected[0], 201]
    assert set(results[1]) == {"status", "detail"}
    assert expected[1] in said(results[1]["detail"])
    assert outputs(run) == ["b", "a"]
    count = select(func.count()).select_from(sessions)
    assert database.read(lambda connection: connection.execute(count).scalar_one()) == 0


@pytest.mark.parametrize("log", ["text", None, 7, [], [{}]])
def test_what_is_no_object_is_refused_in_its_place(run: Run, log: Any) -> None:
    """As if it had been sent alone."""
    results = send(run, [log, item(run)])
    assert said(results[0]["detail"]) == "body model_type"
    assert results[1]["status"] == 201


def said(detail: Any) -> str:
    """Return a refusal's sentence, or its one place and type."""
    if isinstance(detail, str):
        return detail
    (complaint,) = detail
    return f"{'.'.join(map(str, complaint['loc']))} {complaint['type']}"


def test_a_run_that_takes_no_logs_refuses_each(api: Api) -> None:
    """And still repeats what it took before."""
    run = make_run(api)
    (first,) = send(run, [item(run, "x", "k")])
    run.set("completed")
    again, fresh = send(run, [item(run, "x", "k"), item(run, "y")])
    assert again == {**first, "replayed": True}
    assert said(fresh["detail"]) == "path.evaluation_id run_status"


def test_an_unknown_run_is_404(run: Run) -> None:
    """No part of it could be anywhere."""
    missing = run.api.missing("Evaluations_logMany", {"logs": [item(run)]}, evaluation_id="evrun_1")
    assert "evrun_1" in missing


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"logs": []}, "body.logs too_short"),
        ({"logs": [{}] * 1001}, "body.logs too_long"),
        ({"logs": {}}, "body.logs list_type"),
        ({}, "body.logs missing"),
        ([], "body model_type"),
    ],
)
def test_a_request_that_is_none_is_422(run: Run, body: Any, complaint: str) -> None:
    """From 1 to 1,000 logs, as a list."""
    assert said([refusal(run, json.dumps(body).encode())]) == complaint


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"logs": ' + b"[" * 10_000])
def test_a_body_that_is_no_json_is_422(run: Run, content: bytes) -> None:
    """Nothing in it can be read."""
    assert said([refusal(run, content)]) == "body json_invalid"


@pytest.mark.parametrize(
    "content",
    [b"", b" ", b"[]", b"null", b"7", b"{", b"\xff", b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}"],
    ids=lambda content: repr(content[:8]),
)
def test_what_holds_no_logs_is_refused_as_by_the_single_call(run: Run, content: bytes) -> None:
    """In the same words."""
    alone = run.api.send("Evaluations_log", content=content, **run.path)
    assert [refusal(run, content)] == alone.json()["detail"]


def refusal(run: Run, content: bytes) -> Any:
    response = run.api.send("Evaluations_logMany", content=content, **run.path)
    assert response.status_code == 422
    (complaint,) = response.json()["detail"]
    return complaint


def test_the_limit_is_the_contracts() -> None:
    """Said in the contract, checked by the server, announced to clients."""
    schema = contract()["components"]["schemas"]["CreateEvaluationLogsRequest"]
    assert schema["properties"]["logs"]["maxItems"] == batches.MOST_LOGS
    assert schema["properties"]["logs"]["minItems"] == 1


# --- Keys --------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_log_under_a_key_is_stored_once(run: Run) -> None:
    """In another request too, at another place and among others."""
    first = send(run, [item(run, "a", "ka"), item(run, "b", "kb")])
    again = send(run, [item(run, "c", "kc"), item(run, "b", "kb"), item(run, "a", "ka")])
    assert [each["replayed"] for each in again] == [False, True, True]
    assert [each["log"] for each in again[1:]] == [first[1]["log"], first[0]["log"]]
    assert outputs(run) == ["c", "b", "a"]


def test_a_single_call_and_one_of_many_are_the_same_request(run: Run) -> None:
    """Whichever came first, however the JSON was written, with an evaluatee and without."""
    one = single(run, "k1", "x").json()
    evaluatee = {"evaluatee_id": run.evaluatee_id}
    named = single(run, "k2", "y", **evaluatee).json()
    results = send(
        run, [item(run, "x", "k1"), item(run, "y", "k2", **evaluatee), item(run, "z", "k3")]
    )
    assert [each["replayed"] for each in results] == [True, True, False]
    assert [each["log"] for each in results[:2]] == [one, named]
    turned = {"log": {"output": "z"}, "datapoint_id": run.datapoint_ids[0]}
    content = json.dumps(turned, indent=4).encode()
    again = run.api.send("Evaluations_log", content=content, idempotency_key="k3", **run.path)
    assert (again.json(), again.headers[REPLAYED]) == (results[2]["log"], "true")
    assert len(outputs(run)) == 3


def test_another_log_under_the_key_is_refused(run: Run) -> None:
    """Another output, evaluatee, datapoint or run; here as by a single call; and in one request."""
    other = make_run(run.api, project="other")
    send(run, [item(run, "x", "k")])
    changed = [
        item(run, "y", "k"),
        item(run, "x", "k", evaluatee_id=run.evaluatee_id),
        item(run, "x", "k", datapoint_id=run.datapoint_ids[1]),
        item(run, "a", "twice"),
        item(run, "b", "twice"),
    ]
    results = send(run, changed)
    reused = "body.idempotency_key idempotency_key_reused"
    assert [said(each["detail"]) for each in (*results[:3], results[4])] == [reused] * 4
    assert results[3]["status"] == 201
    assert said(send(other, [item(other, "x", "k")])[0]["detail"]) == reused
    assert single(run, "twice", "b").status_code == 422
    assert outputs(run) == ["a", "x"]


def test_the_same_log_twice_in_one_request_is_stored_once(run: Run) -> None:
    """The second is a repetition. Without keys they are two."""
    first, second = send(run, [item(run, "x", "k")] * 2)
    assert (first["log"], second["replayed"]) == (second["log"], True)
    send(run, [item(run, "y")] * 2)
    assert outputs(run) == ["y", "y", "x"]


@pytest.mark.both_databases
def test_a_refused_log_leaves_its_key_unused(run: Run) -> None:
    """It changed nothing: the key may be used for what is right."""
    bad, good = send(run, [item(run, "x", "k", datapoint_id="nowhere"), item(run, "x", "k")])
    assert (bad["status"], good["status"], good["replayed"]) == (422, 201, False)


@pytest.mark.both_databases
def test_the_whole_request_can_be_repeated(run: Run) -> None:
    """Its whole answer comes again, whatever has become possible meanwhile."""
    body = {"logs": [item(run, "x"), item(run, "y", "k"), item(run, datapoint_id="nowhere")]}
    content = json.dumps(body).encode()
    first, again = (
        run.api.send("Evaluations_logMany", content=content, idempotency_key="whole", **run.path)
        for _ in range(2)
    )
    assert REPLAYED not in first.headers
    assert (again.content, again.headers[REPLAYED]) == (first.content, "true")
    assert outputs(run) == ["y", "x"]


def test_the_key_of_the_whole_is_none_of_a_part(run: Run) -> None:
    """It would stand for two things: that part is refused, and the whole can be repeated."""
    for _ in range(2):
        whole, other = send(run, [item(run, "x", "k"), item(run, "y", "l")], key="k")
        assert said(whole["detail"]) == "body.idempotency_key idempotency_key_reused"
        assert other["status"] == 201
    assert outputs(run) == ["y"]


KEYS = st.sampled_from(["a", "b", "c"])
ACTIONS = st.lists(st.tuples(KEYS, st.sampled_from(["x", "y"])), min_size=1, max_size=6)


@pytest.mark.both_databases
@given(requests=st.lists(st.tuples(ACTIONS, st.booleans()), min_size=1, max_size=5))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_one_log_for_each_key_whatever_comes(
    api: Api, requests: list[tuple[list[tuple[str, str]], bool]]
) -> None:
    """Single and many in any order: a key stands for the first log that came under it."""
    run = make_run(api, project=str(len(api.ok("Projects_list", size=1000)["records"])))
    first: dict[str, tuple[str, str]] = {}
    for logs, at_once in requests:
        named = [(f"{run.id}-{key}", output) for key, output in logs]
        if at_once:
            answers = [
                (each["status"], each.get("log"))
                for each in send(run, [item(run, output, key) for key, output in named])
            ]
        else:
            sent = [single(run, key, output) for key, output in named]
            answers = [(each.status_code, each.json()) for each in sent]
        for (key, output), (status, log) in zip(named, answers, strict=True):
            if first.get(key, ("", output))[1] != output:
                assert status == 422
            else:
                assert first.setdefault(key, (log["id"], output))[0] == log["id"]
    assert sorted(outputs(run)) == sorted(output for _, output in first.values())  # type: ignore[type-var]


# --- Compressed --------------------------------------------------------------------------------


def compressed(run: Run, content: bytes, encoding: str = "gzip") -> httpx.Response:
    response = run.api.http.post(
        f"/evaluations/{run.id}/logs", content=content, headers={"Content-Encoding": encoding}
    )
    conforms(response, "Evaluations_logMany")
    return response


def test_a_compressed_body_is_read(run: Run) -> None:
    """As one that is not: the same key gets the same answer."""
    body = json.dumps({"logs": [item(run, "x" * 10_000, "k")]}).encode()
    first = compressed(run, gzip.compress(body, mtime=0)).json()["results"][0]
    again = compressed(run, body, "identity").json()["results"][0]
    assert again == {**first, "replayed": True}


def test_a_bomb_is_413(run: Run) -> None:
    """The limit is that of the body as it is read, and no more than that is ever in memory."""
    assert compressed(run, gzip.compress(bytes(BODY_LIMIT * 20), mtime=0)).status_code == 413


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(b"{}", mtime=0)[:-4], "gzip"),
        (gzip.compress(b"{}", mtime=0) + b"rest", "gzip"),
        (b"{}", "br"),
    ],
)
def test_what_cannot_be_inflated_is_422(run: Run, content: bytes, encoding: str) -> None:
    """The sentence names the header."""
    (complaint,) = compressed(run, content, encoding).json()["detail"]
    assert complaint["loc"] == ["header", "Content-Encoding"]
