from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import text

from _support.served import BASE_URL, Api, Run
from evrun.server.api.app import create_app
from evrun.server.api.limits import BODY_LIMIT
from evrun.server.api.routes import OPERATIONS
from evrun.server.db.database import Database
from evrun.server.hosting.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VALID = {"datapoint_id": "d", "log": {}}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, [(["body", "datapoint_id"], "missing"), (["body", "log"], "missing")]),
        (None, [(["body"], "missing")]),
        ([], [(["body"], "model_type")]),
        (VALID | {"datapoint_id": 1}, [(["body", "datapoint_id"], "string_type")]),
        (VALID | {"datapoint_id": "a/b"}, [(["body", "datapoint_id"], "string_pattern_mismatch")]),
        (VALID | {"datapoint_id": "a\n"}, [(["body", "datapoint_id"], "string_pattern_mismatch")]),
        (
            VALID | {"log": {"session_id": "x"}},
            [(["body", "log", "session_id"], "string_pattern_mismatch")],
        ),
        (VALID | {"log": {"save": "yes"}}, [(["body", "log", "save"], "bool_type")]),
        (VALID | {"log": {"prompt_tokens": "1"}}, [(["body", "log", "prompt_tokens"], "int_type")]),
        (
            VALID | {"log": {"created_at": "yesterday"}},
            [(["body", "log", "created_at"], "datetime_parsing")],
        ),
        (
            VALID | {"log": {"messages": [{"content": "x"}]}},
            [(["body", "log", "messages", 0, "role"], "missing")],
        ),
    ],
)
def test_a_body_that_does_not_fit_is_422_at_the_place(run: Run, body: Any, detail: Any) -> None:
    """The complaint names the path to the field, as FastAPI does, and the kind of fault."""
    response = run.api.send("Evaluations_log", body, **run.path)
    assert response.status_code == 422
    assert [(each["loc"], each["type"]) for each in response.json()["detail"]] == detail


def test_the_whole_answer_to_a_bad_body(run: Run) -> None:
    """A 422 has exactly loc, msg and type, and never repeats what was sent."""
    response = run.api.send("Evaluations_log", VALID | {"log": 5}, **run.path)
    assert response.json() == {
        "detail": [
            {"loc": ["body", "log"], "msg": "Input should be an object", "type": "model_type"}
        ]
    }


@pytest.mark.parametrize("content", [b"{", b"\xff", b"{'a': 1}", b'"\\ud800"', b"[" * 100_000])
def test_malformed_json_is_422(run: Run, content: bytes) -> None:
    """So are bytes that are no UTF-8, and nesting without end."""
    refusal = run.api.refused("Evaluations_log", content=content, **run.path)
    assert refusal == (["body"], "json_invalid")


@pytest.mark.parametrize(
    "number",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e400",
        b"-1e400",
        b"1.7976931348623159e308",
        b"1" + b"0" * 309,
        b"-" + b"9" * 310,
        b"1" + b"0" * 5000,  # Python itself reads no more than 4,300 digits
    ],
)
def test_a_number_is_finite(run: Run, number: bytes) -> None:
    """What neither database could keep is refused, and the complaint names its place."""
    content = b'{"datapoint_id": "d", "log": {"metadata": {"a": [1, {"b": %s}]}}}' % number
    response = run.api.send("Evaluations_log", content=content, **run.path)
    assert response.status_code == 422
    assert response.json()["detail"] == [
        {
            "loc": ["body", "log", "metadata", "a", 1, "b"],
            "msg": "A number must be finite: between -1.8e308 and 1.8e308, "
            "and not NaN or Infinity.",
            "type": "finite_number",
        }
    ]


LOG, CONFIG, DATAPOINTS = "Evaluations_log", "ModelConfigs_register", "Datasets_createDatapoint"


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("name", "place"),
    [
        *(
            (LOG, ["log", *place])
            for place in (
                ["duration"],
                ["prompt_tokens"],
                ["output_cost"],
                ["judgment"],
                ["save"],
                ["inputs", "n"],
                ["provider_response", "usage", 0],
                ["messages", 0, "further"],
                ["messages", 0, "content", 0, "image_url", "further"],
                ["output_message", "tool_calls", 0, "function", "further"],
                ["feedback", 0, "value"],
                ["config", "temperature"],
            )
        ),
        (CONFIG, ["max_tokens"]),
        (CONFIG, ["tools", 0, "parameters", "maximum"]),
        (CONFIG, ["other", "n"]),
        (DATAPOINTS, [1, "target", "answer"]),
        (DATAPOINTS, ["messages", 0, "further"]),
        ("Evaluations_result", ["result"]),
        ("Logs_update", ["duration"]),
        ("Projects_create", ["name"]),
    ],
    ids=str,
)
def test_numbers_are_finite_everywhere(run: Run, name: str, place: list[Any]) -> None:
    """In declared fields, in free-form objects and in fields that nobody knows."""
    body: Any = "#"
    for key in reversed(place):
        body = {key: body} if isinstance(key, str) else [*[0] * key, body]
    content = json.dumps(body).replace('"#"', "1" + "0" * 309).encode()
    given = {LOG: run.path, "Evaluations_result": run.path, "Logs_update": {"id": "data_a"}}
    given[DATAPOINTS] = {"dataset_id": run.dataset_id}
    refusal = run.api.refused(name, content=content, **given.get(name, {}))
    assert refusal == (["body", *place], "finite_number")


def test_of_two_members_of_one_name_the_later_counts(run: Run) -> None:
    """A number that is not finite and then replaced is none: alone, and as one of many."""
    log = '{"duration": NaN, "duration": 1, "metadata": {"a": 1e400, "a": 2}}'
    content = f'{{"datapoint_id": "{run.datapoint_ids[0]}", "log": {log}}}'
    alone = run.api.ok(LOG, content=content.encode(), **run.path)
    many = f'{{"logs": [{content}]}}'.encode()
    (result,) = run.api.ok("Evaluations_logMany", content=many, **run.path)["results"]
    for log_id in (alone["id"], result["log"]["id"]):
        shown = run.api.ok("Logs_get", id=log_id)
        assert (shown["duration"], shown["metadata"]) == (1, {"a": 2})
    turned = content.replace("NaN, ", '1, "duration": NaN, ').replace(', "duration": 1,', ",")
    place = ["body", "log", "duration"]
    assert run.api.refused(LOG, content=turned.encode(), **run.path) == (place, "finite_number")


def test_a_number_that_is_not_finite_fails_its_item_only(run: Run) -> None:
    """One of many logs is refused at its own place, and the others are stored."""
    good = json.dumps(run.log_body())
    bad = [
        json.dumps(run.log_body(metadata={"a": ["#"]})).replace('"#"', number)
        for number in ("NaN", "1e400", "1" + "0" * 5000)
    ]
    content = f'{{"logs": [{good}, {", ".join(bad)}, {good}]}}'.encode()
    answer = run.api.ok("Evaluations_logMany", content=content, **run.path)
    assert [each["status"] for each in answer["results"]] == [201, 422, 422, 422, 201]
    for each in answer["results"][1:4]:
        (complaint,) = each["detail"]
        assert complaint["loc"] == ["body", "log", "metadata", "a", 0]
        assert complaint["type"] == "finite_number"


@pytest.mark.parametrize(
    "number",
    [5e-324, -0.0, sys.float_info.max, -sys.float_info.max, 2**63 + 1, 10**308, -(2**70)],
    ids=lambda number: f"{number:.3g}",
)
def test_every_finite_number_is_kept(run: Run, number: float) -> None:
    """In fields and in free-form objects it comes back as it was, from either database."""
    log: dict[str, Any] = {"duration": float(number), "judgment": float(number)}
    log |= {"metadata": {"n": number}, "messages": [{"role": "user", "further": [number]}]}
    if isinstance(number, int):
        log |= {"prompt_tokens": number, "output_tokens": 1}
    shown = run.api.ok("Logs_get", id=run.log(**log)["id"])
    assert json.dumps({name: shown[name] for name in log}) == json.dumps(log)


@pytest.mark.parametrize(
    ("name", "given", "place"),
    [
        ("Evaluations_get", {"id": "nope"}, ["path", "id"]),
        ("Evaluations_get", {"id": "evrun_a%0A"}, ["path", "id"]),
        ("Evaluations_get", {"id": "evrun_" + "a" * 130}, ["path", "id"]),
        ("Evaluations_log", {"evaluation_id": "data_a"}, ["path", "evaluation_id"]),
        ("Evaluations_get", {"id": "evrun_a", "evaluatee_id": ""}, ["query", "evaluatee_id"]),
        ("Evaluations_list", {}, ["query", "project_id"]),
        ("Evaluations_list", {"project_id": "pr_a", "id": ["ev_a", "x"]}, ["query", "id", 1]),
        ("Evaluations_list", {"project_id": "pr_a", "sort": "x.asc"}, ["query", "sort", 0]),
        ("Projects_list", {"page": "-1"}, ["query", "page"]),
        ("Projects_list", {"size": "1001"}, ["query", "size"]),
        ("Projects_list", {"size": "ten"}, ["query", "size"]),
        ("Projects_list", {"size": "NaN"}, ["query", "size"]),
        ("Projects_list", {"page": "1" + "0" * 30}, ["query", "page"]),
        ("Logs_list", {"project_id": "pr_a", "page": "1" + "0" * 5000}, ["query", "page"]),
        ("Projects_list", {"order": "up"}, ["query", "order"]),
        ("Sessions_list", {"project_id": "pr_a", "page": "0"}, ["query", "page"]),
    ],
)
def test_parameters_are_422_at_the_place(
    api: Api, name: str, given: dict[str, Any], place: list[Any]
) -> None:
    """Path and query parameters are held against the contract's patterns and bounds."""
    assert api.refused(name, VALID if OPERATIONS[name].body else None, **given)[0] == place


def test_times_out_of_range_are_422(run: Run) -> None:
    """A time before the first year in UTC is refused, not a crash."""
    refusal = run.log_refused(created_at="0001-01-01T00:00:00+14:00")
    assert refusal == (["body", "log", "created_at"], "datetime_range")
    log_id = run.log(created_at="2024-01-01T00:00:00")["id"]
    assert run.api.ok("Logs_get", id=log_id)["created_at"] == "2024-01-01T00:00:00Z"


@pytest.mark.both_databases
@pytest.mark.parametrize("name", ["start_date", "end_date"])
@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_filters_by_times_out_of_range_are_answered(run: Run, name: str, instant: str) -> None:
    """Beyond the calendar in UTC is 422 there too."""
    given = {"project_id": run.project_id, name: instant}
    assert run.api.refused("Logs_list", **given) == (["query", name], "datetime_range")


@pytest.mark.parametrize("number", ["20240501", "1700000000", "1700000000.5", "-1"])
def test_a_number_is_no_time(run: Run, number: str) -> None:
    """A day without its dashes is refused, and not taken for seconds since 1970."""
    given = {"project_id": run.project_id, "start_date": number}
    assert run.api.refused("Logs_list", **given) == (["query", "start_date"], "datetime_parsing")
    midnight = {"project_id": run.project_id, "end_date": "1714521600"}
    assert run.api.refused("Evaluations_list", **midnight)[0] == ["query", "end_date"]
    assert run.log_refused(created_at=number)[0] == ["body", "log", "created_at"]
    feedback = [{"type": "rating", "value": "good", "created_at": number}]
    place = ["body", "log", "feedback", 0, "created_at"]
    assert run.log_refused(feedback=feedback)[0] == place


def test_a_deprecated_field_is_taken_without_a_warning(run: Run) -> None:
    """`tool_call` is deprecated for callers, and no matter of the server's log."""
    call = {"name": "f", "arguments": "{}"}
    log_id = run.log(messages=[{"role": "assistant", "tool_call": call}])["id"]
    (message,) = run.api.ok("Logs_get", id=log_id)["messages"]
    assert message["tool_call"] == call


def test_a_request_names_a_limited_number_of_columns(run: Run) -> None:
    """Beyond that it is 422; the same column again counts once."""
    given = {"project_id": run.project_id}
    repeated = ["source.asc", "timestamp.desc"] * 1000
    assert run.api.ok("Logs_list", **given, sort=repeated)["total"] == 0
    for name, sort in (
        ("Logs_list", [f"feedback-{n}.asc" for n in range(33)]),
        ("Evaluations_list", [f"evaluator-evfn_{n}.desc" for n in range(33)]),
    ):
        run.api.ok(name, **given, sort=sort[1:])
        assert run.api.refused(name, **given, sort=sort) == (["query", "sort"], "too_long")
    filters = {f"feedback-{n}_filter": "good" for n in range(32)}
    run.api.ok("Logs_list", **given, **filters)
    several = {**filters, f"evaluator-{run.evaluator_id}_filter": "true"}
    assert run.api.refused("Logs_list", **given, **several) == (["query"], "too_long")


def test_a_long_search_is_422(run: Run) -> None:
    """Beyond what a database takes for a pattern, however the letters are written."""
    for name, parameter, more in (
        ("Projects_list", "filter", {}),
        ("Logs_list", "search", {"project_id": run.project_id}),
        ("Logs_list", "metadata_search", {"project_id": run.project_id}),
    ):
        for term in ("%" * 10_000, "ß" * 5_000):
            assert run.api.ok(name, **{parameter: term}, **more)["total"] == 0
        refusal = run.api.refused(name, **{parameter: "é" * 5_001}, **more)
        assert refusal == (["query", parameter], "too_long")


def test_the_name_of_a_filter_has_no_nul(run: Run) -> None:
    """A parameter's name may hold a kind of feedback: U+0000 in it is refused as in a value."""
    name = "feedback-a\0_filter"
    refusal = run.api.refused("Logs_list", project_id=run.project_id, **{name: "good"})
    assert refusal == (["query", name], "nul_character")


def test_a_long_body_is_413(run: Run) -> None:
    """The limit is told before the body is taken in."""
    response = run.api.send("Evaluations_log", content=b" " * (BODY_LIMIT + 1), **run.path)
    assert response.status_code == 413
    assert str(BODY_LIMIT) in response.json()["detail"]


@pytest.mark.anyio
async def test_a_body_that_hides_its_length_is_413_too(database: Database) -> None:
    """Without Content-Length the bytes are counted as they come."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 50

    app = create_app(database, local_key="k", body_limit=100)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        response = await client.post("/projects", content=body(), headers={"X-API-KEY": "k"})
    assert response.status_code == 413


def test_unknown_paths_and_methods(api: Api) -> None:
    """404 in a sentence; 405 names every method of the path; a last slash redirects nowhere."""
    for path in ("/nothing", "/projects/", "/evaluations/a/b/c"):
        response = api.http.get(path)
        assert (response.status_code, list(response.json())) == (404, ["detail"])
    response = api.http.delete("/projects")
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "POST"}
    assert api.http.head("/projects").status_code == 405


def test_every_exchange_has_a_name(api: Api) -> None:
    """A sane X-Request-ID comes back; anything else is replaced."""
    assert (
        api.http.get("/x", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    )
    replaced = api.http.get("/x", headers={"X-Request-ID": "a b"}).headers["X-Request-ID"]
    assert replaced != "a b"
    assert re.fullmatch(r"req_[0-9A-Za-z]{21}", replaced)


def test_a_defect_is_500_without_a_trace(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer names the entry in the server's log, which has the trace, and nothing forged."""

    def defect(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Database, "read", defect)
    host = LoopThread(create_app(database, local_key="k"))
    try:
        path = f"{BASE_URL}/projects/a%0AERROR:%20forged"
        request = httpx.Request("GET", path, headers={"X-API-KEY": "k"})
        response = host.submit(request, b"").result(10)
    finally:
        host.stop()
    assert response.status_code == 500
    assert "secret detail" not in response.text
    (entry,) = (each for each in caplog.records if each.name == "evrun.server")
    request_id = response.headers["X-Request-ID"]
    assert entry.getMessage() == f"GET /v4/projects/{{id}} failed: request {request_id}"
    assert f"under {request_id}." in response.json()["detail"]
    assert "secret detail" in caplog.text
    assert "forged" not in caplog.text


@pytest.mark.both_databases
def test_a_database_that_fails_repeats_no_payload(
    api: Api, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the answer nor the log holds what was to be stored."""
    database.write(lambda each: each.execute(text("ALTER TABLE projects RENAME TO elsewhere")))
    response = api.http.post("/projects", json={"name": "secret name"})
    assert response.status_code == 503
    assert "secret" not in caplog.text + response.text
