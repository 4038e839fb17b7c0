"""Fields that the contract does not know: kept and given back, or refused by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _support.parsed_answers import read
from _support.served import Api, Run, contract, contract_operations, make_run
from _support.text_places import merged, places

if TYPE_CHECKING:
    from _support.text_places import Place

LOG, LOG_MANY = "Evaluations_log", "Evaluations_logMany"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
FURTHER = st.dictionaries(TEXTS.map("further {}".format), JSON, min_size=1, max_size=3)
OPEN = {
    "ChatMessageWithToolCall",
    "TextChatContent",
    "ImageChatContent",
    "ImageUrl",
    "ToolCall",
    "FunctionTool",
    "Feedback",
    "ResponseFormat",
    "ModelConfigToolRequest",
    "LinkedToolRequest",
}
"""Each has its place in one of the bodies below."""


def _messages(further: dict[str, Any]) -> list[Any]:
    function = {"name": "f", "arguments": "{}", **further}
    text = {"type": "text", "text": "t", **further}
    image = {"type": "image_url", "image_url": {"url": "u", **further}, **further}
    return [
        {"role": "user", "content": [text, image], **further},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": function, **further}],
            "tool_call": function,
            **further,
        },
    ]


def _log(further: dict[str, Any]) -> dict[str, Any]:
    messages = _messages(further)
    feedback: list[Any] = [{"type": "rating", "value": "good", **further}]
    return {"messages": messages, "output_message": messages[1], "feedback": feedback}


def _config(further: dict[str, Any]) -> dict[str, Any]:
    own = {"name": "f", "strict": True, "source_code": "s", "other": {"a": None}, **further}
    linked = {"id": "oc_1", "source": "organization", "name": "g", **further}
    form = {"type": "json_schema", "json_schema": {"a": None}, **further}
    return {"chat_template": _messages(further), "response_format": form, "tools": [own, linked]}


def _holds(shown: Any, sent: Any) -> bool:
    """Return whether an answer has all that was sent, where it was sent."""
    if isinstance(sent, dict):
        return isinstance(shown, dict) and all(
            name in shown and _holds(shown[name], value) for name, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(shown, list) and all(map(_holds, shown, sent)) and len(shown) == len(sent)
    return (shown, type(shown)) == (sent, type(sent))


@given(further=FURTHER)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_open_objects_hold_comes_back(run: Run, further: dict[str, Any]) -> None:
    """From logs, alone or many, and datapoints made of them; from datapoints; and from configs."""
    api, log = run.api, _log(further)
    item = run.log_body(1, **log)
    (many,) = api.ok(LOG_MANY, {"logs": [item]}, **run.path)["results"]
    for log_id in (run.log(**log)["id"], many["log"]["id"]):
        assert _holds(api.ok("Logs_get", id=log_id), log)
    dataset, row = {"dataset_id": run.dataset_id}, {"messages": _messages(further)}
    for body in (row, [row], {"log_ids": [log_id]}):
        (made,) = api.ok("Datasets_createDatapoint", body, **dataset)
        assert _holds(api.ok("Datapoints_get", id=made["id"]), row)
    config = _config(further)
    registered = {"project_id": run.project_id, "model": "m", **config}
    ids = {api.ok("ModelConfigs_register", registered)["config"]["id"] for _ in range(2)}
    assert _holds(api.ok("ModelConfigs_get", id=ids.pop()), config)
    assert ids == set()  # the same settings are the same config


def test_the_client_shows_what_came_back(run: Run) -> None:
    """The overlay's log has every further field, as JSON."""
    further = {"parts": [{"text": "x", "thought": None}], "n": None}
    response = run.api.send("Logs_get", id=run.log(**_log(further))["id"])
    shown = read("Logs_get", 200, response.content)
    assert _holds([*shown.messages], _messages(further))
    assert _holds([*shown.feedback], _log(further)["feedback"])


def test_every_open_object_is_tried() -> None:
    """The bodies above have one of each that the contract leaves open to requests."""
    schemas = contract()["components"]["schemas"]
    answers = {"FeedbackResponse", "ToolResponse"}
    opened = {name for name, each in schemas.items() if each.get("additionalProperties") is True}
    assert opened - answers == OPEN


CLOSED = [
    (name, place)
    for name in sorted(contract_operations())
    for place in places(name).values()
    if place.path[-1] == "*" and not place.free
]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_closed_object_refuses_an_unknown_field_by_its_name(api: Api) -> None:
    """Every object of every body that is not open says where the field stands."""
    run = make_run(api)
    least: dict[str, Any] = {
        LOG: run.log_body(),
        LOG_MANY: {"logs": [run.log_body()]},
        "Datasets_createDatapoint": [{}],
    }
    assert {name for name, _ in CLOSED} >= {*least, "Logs_update", "Evaluators_update"}
    for name, place in CLOSED:
        details = _refused(api, name, merged(least.get(name), place.build("fürther")), run, place)
        types = {each["type"] for each in details if each["loc"][-1] == "fürther"}
        assert types == {"extra_forbidden"}, (name, str(place))


def _refused(api: Api, name: str, body: Any, run: Run, place: Place) -> list[Any]:
    given: dict[str, Any] = {
        each["name"]: {
            "evaluation_id": run.id,
            "project_id": run.project_id,
            "dataset_id": run.dataset_id,
        }.get(each["name"], f"{each['schema'].get('x-id-prefix', '')}a")
        for each in contract_operations()[name][2]["parameters"]
        if each.get("required")
    }
    response = api.send(name, body, **given)
    if name == LOG_MANY and response.status_code == 200:
        response_body: Any = response.json()["results"][0]
        assert response_body["status"] == 422, str(place)
    else:
        assert response.status_code == 422, (name, str(place), response.text)
        response_body = response.json()
    return list(response_body["detail"])


@pytest.mark.parametrize("field", ["id", "data_id"])
@pytest.mark.parametrize("several", [False, True])
def test_feedback_of_a_log_names_no_other(run: Run, field: str, *, several: bool) -> None:
    """The server gives both: one that was sent could not come back."""
    feedback = {"type": "rating", "value": "good", field: f"{'ann' if field == 'id' else 'data'}_1"}
    refusal = run.log_refused(feedback=[feedback] if several else feedback)
    place = ["body", "log", "feedback", *([0] if several else []), field]
    assert refusal == (place, "read_only")


@pytest.mark.parametrize("tool_id", ["mine", None, 1, "oc_" + "a" * 130, {}])
def test_a_tool_has_an_id_that_an_answer_can_show(run: Run, tool_id: Any) -> None:
    """Another is refused at its place; one that an answer had is kept."""
    body: dict[str, Any] = {"project_id": run.project_id, "model": "m"}
    tools = [{"name": "f"}, {"name": "g", "id": tool_id}]
    refusal = run.api.refused("ModelConfigs_register", {**body, "tools": tools})
    assert refusal == (["body", "tools", 1, "id"], "string_pattern_mismatch")
    tools[1]["id"] = "config_of_another"
    made = run.api.ok("ModelConfigs_register", {**body, "tools": tools})
    assert [each["id"] for each in made["config"]["tools"]] == [
        made["config"]["id"],
        tools[1]["id"],
    ]
