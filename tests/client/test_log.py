"""`client.evaluations.log`, the main job, over a fake of the API; sync and async."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from _support.fake_api import BASE_URL, KEY, FakeApi
from evrun import (
    AsyncEvrun,
    DecodeError,
    Evrun,
    InvalidIdError,
    InvalidRequestError,
    LogId,
    ProjectId,
    SessionId,
)
from evrun.results import CreatedLog
from evrun_api.models import ChatMessageWithToolCall, LogRequest

CREATED = {"id": "data_1", "project_id": "pr_1", "session_id": None}


class Logger:
    """Logs through one kind of client, so that each claim is tested for both."""

    def __init__(self, kind: str, api: FakeApi) -> None:
        self.kind, self.api = kind, api

    def log(self, *args: Any, **kwargs: Any) -> CreatedLog:
        if self.kind == "sync":
            with Evrun(
                api_key=KEY, base_url=BASE_URL, http_client=self.api.http_client()
            ) as client:
                return client.evaluations.log(*args, **kwargs)

        async def log() -> CreatedLog:
            async with AsyncEvrun(
                api_key=KEY, base_url=BASE_URL, http_client=self.api.async_http_client()
            ) as client:
                return await client.evaluations.log(*args, **kwargs)

        return asyncio.run(log())


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_log_is_one_documented_request(kind: str) -> None:
    """Logging sends what the API page shows: path, key, query and body, and nothing else."""
    api = FakeApi(body=CREATED)
    logged = Logger(kind, api).log(
        "evrun_1", datapoint_id="dp-1", log={"output": "Paris"}, evaluatee_id="evv_1"
    )
    (request,) = api.requests
    assert request.method == "POST"
    assert str(request.url) == f"{BASE_URL}/evaluations/evrun_1/log?evaluatee_id=evv_1"
    assert request.headers["X-API-KEY"] == KEY
    assert "Authorization" not in request.headers
    assert request.headers["User-Agent"].startswith("evrun/")
    assert api.sent == {"datapoint_id": "dp-1", "log": {"output": "Paris"}}
    assert logged == CreatedLog(id=LogId("data_1"), project_id=ProjectId("pr_1"), session_id=None)


def test_the_answer_has_typed_ids(kind: str) -> None:
    """The ids of an answer know what they name."""
    api = FakeApi(body={"id": "data_1", "project_id": "pr_1", "session_id": "sesh_1"})
    logged = Logger(kind, api).log("ev_1", datapoint_id="1", log={})
    assert [type(logged.id), type(logged.project_id), type(logged.session_id)] == [
        LogId,
        ProjectId,
        SessionId,
    ]


def test_a_session_that_is_left_out_is_none(kind: str) -> None:
    """`session_id` is optional in the answer: missing and null are the same."""
    api = FakeApi(body={"id": "data_1", "project_id": "pr_1"})
    assert Logger(kind, api).log("evrun_1", datapoint_id="1", log={}).session_id is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"evaluation_id": "data_x"},
            "evaluation_id: `data_x` is a log id; did you swap arguments?",
        ),
        ({"evaluation_id": ""}, "evaluation_id: got an empty string."),
        ({"evaluation_id": None}, "evaluation_id: got None."),
        ({"datapoint_id": ""}, "datapoint_id: got an empty string."),
        ({"datapoint_id": "a/b"}, "datapoint_id: 'a/b' contains a slash at position 1."),
        ({"evaluatee_id": "evrun_1"}, "evaluatee_id: `evrun_1` is an evaluation run id; did you"),
        ({"log": {"session_id": "data_1"}}, "log.session_id: `data_1` is a log id; did you swap"),
        ({"log": {"session_id": "sesh_1\n"}}, "log.session_id: 'sesh_1\\n' has white space around"),
        ({"log": {"project_id": "sesh_1"}}, "log.project_id: `sesh_1` is a session id; did you"),
        ({"log": {"config_id": "x"}}, "log.config_id: 'x' does not begin with 'config_'."),
        ({"log": {"parent_id": ".."}}, "log.parent_id: '..' would change the path."),
        (
            {"log": {"source_datapoint_id": 3}},
            "log.source_datapoint_id: got 3 (int), not a string.",
        ),
        (
            {"log": {"feedback": [{"type": "rating", "value": "good", "data_id": "pr_1"}]}},
            "log.feedback[0].data_id: `pr_1` is a project id; did you swap arguments?",
        ),
        (
            {"log": {"config": {"model": "m", "tools": [{"id": "x", "source": "organization"}]}}},
            "log.config.tools[0].id: 'x' does not begin with 'oc_'.",
        ),
        pytest.param(
            {"log": LogRequest(session_id="pr_1")},
            "log.session_id: `pr_1` is a project id; did you",
            id="a model",  # whose text says where it lies in memory
        ),
    ],
    ids=str,
)
def test_a_bad_id_is_refused_before_any_io(
    kind: str, arguments: dict[str, Any], message: str
) -> None:
    """Every id, in a parameter or inside the body, is checked and named; nothing is sent."""
    api = FakeApi(body=CREATED)
    call = {"evaluation_id": "evrun_1", "datapoint_id": "1", "log": {}, **arguments}
    with pytest.raises(InvalidIdError) as caught:
        Logger(kind, api).log(call.pop("evaluation_id"), **call)
    assert str(caught.value).startswith(message)
    assert api.requests == []


def test_a_typo_in_a_field_names_the_nearest_one(kind: str) -> None:
    """An unknown field of a mapping is an error that says what was meant, and what there is."""
    api = FakeApi(body=CREATED)
    with pytest.raises(InvalidRequestError) as caught:
        Logger(kind, api).log("evrun_1", datapoint_id="1", log={"outptu": "Paris"})
    assert str(caught.value).startswith(
        "log: unknown field 'outptu'; the nearest known one is 'output'. Known: config, config_id, "
    )
    assert "additional_properties" not in str(caught.value)
    assert caught.value.parameter == "log.outptu"
    assert api.requests == []


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("Paris", "log: got 'Paris' (str), expected a mapping of the documented fields or a Log"),
        (None, "log: got None, expected a mapping of the documented fields or a LogRequest."),
        ({"inputs": {"a": [1, {2}]}}, "log.inputs.a[1]: JSON has no set; pass list(value)."),
        (
            {"metadata": {1: "x"}},
            "log.metadata: the key 1 (int) is not a text, as JSON's keys are.",
        ),
        (
            {"duration": float("nan")},
            "log.duration: nan cannot be sent as JSON; send a finite number, or leave it out.",
        ),
        (
            {"inputs": {"a": float("inf")}},
            "log.inputs.a: inf cannot be sent as JSON; send a finite",
        ),
        ({"created_at": datetime(2024, 1, 1)}, "log.created_at: 2024-01-01T00:00:00 has no time z"),  # noqa: DTZ001
    ],
    ids=str,
)
def test_a_body_that_is_no_json_is_refused_at_its_place(kind: str, log: Any, message: str) -> None:
    """What JSON cannot say is refused before any I/O, where it stands."""
    api = FakeApi(body=CREATED)
    with pytest.raises(InvalidRequestError) as caught:
        Logger(kind, api).log("evrun_1", datapoint_id="1", log=log)
    assert str(caught.value).startswith(message)
    assert api.requests == []


def test_a_generated_model_with_a_value_that_is_no_json_is_refused(kind: str) -> None:
    """A hand-made LogRequest gets our error too, and never the encoder's."""
    api = FakeApi(body=CREATED)
    with pytest.raises(InvalidRequestError, match="^log.duration: nan cannot be sent as JSON"):
        Logger(kind, api).log("evrun_1", datapoint_id="1", log=LogRequest(duration=float("nan")))
    assert api.requests == []


def test_a_log_may_be_the_generated_model(kind: str) -> None:
    """`log` takes the generated `LogRequest`; what it leaves unset is not sent."""
    api = FakeApi(body=CREATED)
    Logger(kind, api).log("evrun_1", datapoint_id="1", log=LogRequest(output="Paris", error=None))
    assert api.sent["log"] == {"output": "Paris", "error": None, "save": True}


def test_a_mapping_may_hold_everything_that_is_documented(kind: str) -> None:
    """Messages as dicts or models, a datetime with its zone, tuples, null: sent as JSON."""
    api = FakeApi(body=CREATED)
    moment = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)
    Logger(kind, api).log(
        "evrun_1",
        datapoint_id="1",
        log={
            "messages": (
                {"role": "user", "content": "Capital of France?"},
                ChatMessageWithToolCall(role="assistant", content="Paris"),
            ),
            "created_at": moment,
            "metadata": {"seen": (1, 2.5, True, None)},
            "output": None,
            "judgment": 0.5,
        },
    )
    assert api.sent["log"] == {
        "messages": [
            {"role": "user", "content": "Capital of France?"},
            {"role": "assistant", "content": "Paris"},
        ],
        "created_at": "2024-05-01T12:30:00+00:00",
        "metadata": {"seen": [1, 2.5, True, None]},
        "output": None,
        "judgment": 0.5,
    }


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"id": "dp_1", "project_id": "pr_1"}, "id: 'dp_1' does not begin with 'data_'; expected"),
        (
            {"id": "data_1", "project_id": "x"},
            "project_id: 'x' does not begin with 'pr_'; expected",
        ),
        (
            {"id": "data_1", "project_id": "pr_1", "session_id": "data_2"},
            "session_id: `data_2` is a log id; expected a session id",
        ),
        (
            {"id": "data_1", "project_id": "pr_1", "session_id": ""},
            "session_id: got an empty string",
        ),
        ({"id": 7, "project_id": "pr_1"}, "id: got 7 (int), not a string; expected a log id"),
        ({"project_id": "pr_1"}, "it lacks the field 'id'"),
        ({"id": "data_1"}, "it lacks the field 'project_id'"),
        ([], "it lacks the field 'id'"),
        (None, "it does not fit the contract"),
        ("data_1", "it does not fit the contract"),
    ],
    ids=str,
)
def test_an_answer_that_breaks_the_contract_is_an_error_with_the_body(
    kind: str, body: Any, problem: str
) -> None:
    """No answer is accepted in silence: a wrong id or a missing field raises and keeps the body."""
    api = FakeApi(text=json.dumps(body))
    with pytest.raises(DecodeError) as caught:
        Logger(kind, api).log("evrun_1", datapoint_id="1", log={})
    assert problem in str(caught.value)
    assert "The server has carried out the request." in str(caught.value)
    assert caught.value.status == 201
    assert json.loads(caught.value.body) == body
