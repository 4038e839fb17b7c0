"""What enters a request body: what the contract allows, and nothing else, by its place."""

from __future__ import annotations

import collections
import copy
import enum
import functools
import itertools
import math
import operator
import subprocess
import sys
import time
import tracemalloc
import types
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from _support.client_kinds import WAYS, Way
from _support.client_methods import METHODS, Asking, calls
from _support.fake_api import BASE_URL, KEY, FakeApi
from _support.hostile_values import HOSTILE
from _support.running_run import running
from evrun import AsyncEvrun, Evrun, LogId
from evrun._transport.json_data import plain
from evrun.errors import InvalidRequestError, NotFoundError
from evrun_api.models import ChatMessageWithToolCall, LogRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUN: dict[str, Any] = {
    "project_id": "pr_1",
    "config_id": "config_1",
    "dataset_id": "evts_1",
    "evaluator_ids": ["evfn_1"],
}
EVALUATOR: dict[str, Any] = {"name": "e", "description": "", "arguments_type": "target_free"}
VERDICT: dict[str, Any] = {"log_id": "data_1", "evaluator_id": "evfn_1"}

Entry = tuple[str, "Callable[[Any, Any], Any]"]

ENTRIES: list[Entry] = [
    (
        "log.inputs.x",
        lambda c, v: c.evaluations.log("ev_1", datapoint_id="1", log=_in("inputs", v)),
    ),
    (
        "log.messages[0].x",
        lambda c, v: c.evaluations.log(
            "ev_1", datapoint_id="1", log={"messages": [{"role": "user", "x": v}]}
        ),
    ),
    (
        "log.metadata.x",
        lambda c, v: c.evaluations.log("ev_1", datapoint_id="1", log=_model(metadata=v)),
    ),
    (
        "logs[1].log.provider_response.x",
        lambda c, v: c.evaluations.log_batch(
            "ev_1", logs=[_item({}), _item(_in("provider_response", v))]
        ),
    ),
    (
        "datapoints[0].target.x",
        lambda c, v: c.datasets.create_datapoints("evts_1", datapoints=[_in("target", v)]),
    ),
    (
        "config.tools[0].parameters.x",
        lambda c, v: c.model_configs.register(
            {"model": "m", "tools": [{"name": "t", **_in("parameters", v)}]}
        ),
    ),
    (
        "model_config.other.x",
        lambda c, v: c.evaluators.update("evfn_1", model_config={"model": "m", **_in("other", v)}),
    ),
    ("extra_body.x", lambda c, v: c.with_options(extra_body={"x": v})),
]


def _in(field: str, value: Any) -> dict[str, Any]:
    return {field: {"x": value}}


def _item(log: dict[str, Any]) -> dict[str, Any]:
    return {"datapoint_id": "1", "log": log}


def _model(**fields: Any) -> LogRequest:
    made: dict[str, Any] = {name: {"x": value} for name, value in fields.items()}
    return LogRequest(**made)


def refusal(error: InvalidRequestError, place: str) -> str:
    """Return how the error goes on after the place; many levels in it are left out."""
    message = str(error)
    assert message.startswith(place)
    where = message.partition(": ")[0]
    assert error.parameter == where
    return message[where.index("…") :] if "…" in where else message.removeprefix(place)


@pytest.fixture
def api() -> FakeApi:
    """Return an API in which there is nothing."""
    return FakeApi(404, {"detail": "There is nothing."})


@pytest.fixture
def client(api: FakeApi) -> Evrun:
    """Return a client of that API."""
    return Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client())


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(("place", "call"), ENTRIES, ids=[place for place, _ in ENTRIES])
def test_a_hostile_value_is_refused_at_its_place(
    client: Evrun, api: FakeApi, place: str, call: Callable[[Any, Any], Any], name: str
) -> None:
    """Wherever data enters, the error says where, and what to pass instead. Nothing is sent."""
    value, problem = HOSTILE[name]
    with pytest.raises(InvalidRequestError) as caught:
        call(client, value)
    assert refusal(caught.value, place).startswith(problem)
    assert api.requests == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_costs_little(name: str) -> None:
    """It is refused within milliseconds and a few MB, whatever it would grow to."""
    value, _ = HOSTILE[name]
    began = time.process_time()
    with pytest.raises(InvalidRequestError):
        plain(value, "x")
    took = time.process_time() - began
    tracemalloc.start()
    with pytest.raises(InvalidRequestError):
        plain(value, "x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 1024 * 1024
    assert took < 1  # it takes a twentieth, and more under coverage


class Obliging(dict[str, Any]):
    """Has every attribute that it is asked for, `to_dict` too."""

    __getattr__ = dict.get


class Loud(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError

    __iter__ = __len__ = keys = values = items


class Several(list[Any]):
    pass


class LoudText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    encode = isascii = strip = __str__  # type: ignore[assignment]


class Level(enum.IntEnum):
    HIGH = 3


class Colour(str, enum.Enum):  # noqa: UP042 - `str()` of a `StrEnum` is its text anyway
    RED = "red"


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - has no types on purpose

KIND: list[tuple[Any, Any]] = [
    (Obliging(a=Obliging(b=1)), {"a": {"b": 1}}),
    (Loud(a=1), {"a": 1}),
    (LoudText("x"), "x"),
    ({LoudText("k"): 1}, {"k": 1}),
    (Level.HIGH, 3),
    (Colour.RED, "red"),
    ({Colour.RED: 1}, {"red": 1}),
    (LogId("data_1"), "data_1"),
    (Pair(1, (2,)), [1, [2]]),
    (Several([1, Several([2])]), [1, [2]]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.UserDict(a=1), {"a": 1}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (collections.ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
    (ChatMessageWithToolCall(role="user", content="x"), {"role": "user", "content": "x"}),
    (datetime(2024, 5, 1, 12, tzinfo=UTC), "2024-05-01T12:00:00+00:00"),
    (datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Paris")), "1899-12-31T23:50:39+00:00"),
    ([{}] * 1000, [{}] * 1000),
    (["x" * 10**6] * 3, ["x" * 10**6] * 3),
]


@pytest.mark.parametrize(
    ("value", "expected"), KIND, ids=[type(value).__name__ for value, _ in KIND]
)
def test_what_is_json_underneath_is_sent(
    client: Evrun, api: FakeApi, value: Any, expected: Any
) -> None:
    """Subclasses of JSON's types, mappings, models and moments are what they hold, typed or not."""
    log: dict[str, Any] = {
        "metadata": {"x": value},
        "messages": [{"role": "user", "x": value}],
    }
    with pytest.raises(NotFoundError):
        client.evaluations.log("ev_1", datapoint_id="1", log=log)
    expected_log = {"metadata": {"x": expected}, "messages": [{"role": "user", "x": expected}]}
    assert api.sent["log"] == expected_log


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.bool_(True), True),  # noqa: FBT003 - the number itself
        (np.int64(3), 3),
        (np.uint64(2**63), 2**63),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.str_("x"), "x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_number_of_numpy_is_a_number(
    client: Evrun, api: FakeApi, value: Any, expected: Any
) -> None:
    """What numpy and pandas give out is sent as what it is, in a log and as a verdict."""
    with pytest.raises(NotFoundError):
        client.evaluations.log(
            "ev_1", datapoint_id="1", log={"judgment": value, "inputs": {"a": value}}
        )
    sent = api.sent["log"]
    assert sent == {"judgment": expected, "inputs": {"a": expected}}
    assert {type(sent["judgment"]), type(sent["inputs"]["a"])} == {type(expected)}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (np.array([1]), "JSON has no ndarray; pass value.tolist()."),
        (
            np.float64("nan"),
            "nan cannot be sent as JSON; send a finite number, or leave it out.",
        ),
        (np.timedelta64(3, "s"), "JSON has no timedelta64; pass str(value)."),
        (np.complex128(1), "JSON has no complex128; pass str(value)."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_numpy_has_beyond_json_is_refused(client: Evrun, value: Any, problem: str) -> None:
    """An array, and what is no number of JSON's, are refused with what to pass instead."""
    with pytest.raises(InvalidRequestError) as caught:
        client.evaluations.log("ev_1", datapoint_id="1", log={"metadata": {"a": value}})
    assert str(caught.value) == f"log.metadata.a: {problem}"


def test_numpy_is_not_imported() -> None:
    """A program without numpy gets none by sending what needs a look at its type."""
    code = (
        "import sys; from evrun._transport.json_data import plain\n"
        "try: plain(object(), 'x')\n"
        "except ValueError: print('numpy' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value inside."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in entries:
        yield (key,)
        if isinstance(each, dict | list):
            yield from ((key, *path) for path in paths(each))


def place_of(path: tuple[Any, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_value_of_every_body_is_checked(client: Evrun, api: FakeApi, name: str) -> None:
    """Whichever value of a documented body is odd, the error names its place. Nothing is sent."""
    asking = Asking(client)
    for method, given, body in calls(name):
        bound = asking.arguments(name, method, given, body)
        in_body = {"config", "datapoints", *(body if isinstance(body, dict) else ())}
        whole = {name: bound.arguments[name] for name in bound.arguments.keys() & in_body}
        for path in paths(whole):
            odd = copy.deepcopy(whole)
            functools.reduce(operator.getitem, path[:-1], odd)[path[-1]] = object()
            bound.arguments.update(odd)
            with pytest.raises(InvalidRequestError) as caught:
                asking.answer(asking.method(method), *bound.args, **bound.kwargs)
            assert str(caught.value).partition(": ")[0] == place_of(path)
    assert api.requests == []


def log(**fields: Any) -> Callable[[Evrun], object]:
    return lambda evrun: evrun.evaluations.log("ev_1", datapoint_id="1", log=fields)


def content(*parts: Any) -> Callable[[Evrun], object]:
    return log(messages=[{"role": "user", "content": [*parts]}])


WRONG: list[tuple[Callable[[Evrun], object], str]] = [
    (log(output=3), "log.output: got 3 (int), expected a text."),
    (log(output=["a"]), "log.output: got list, expected a text."),
    (log(duration="1.5"), "log.duration: got '1.5' (str), expected a number."),
    (log(duration=True), "log.duration: got True (bool), expected a number."),
    (log(prompt_tokens=2.5), "log.prompt_tokens: got 2.5 (float), expected a whole number."),
    (log(save=1), "log.save: got 1 (int), expected true or false."),
    (log(inputs="x"), "log.inputs: got 'x' (str), expected a mapping."),
    (log(messages={"role": "user"}), "log.messages: got dict, expected a list."),
    (
        log(messages=["hi"]),
        "log.messages[0]: got 'hi' (str), expected a mapping of the documented fields or a "
        "ChatMessageWithToolCall.",
    ),
    (log(messages=[{"content": "x"}]), "log.messages[0]: 'role' is required."),
    (
        log(messages=[{"role": "user", "tool_calls": [{"id": "1", "type": "function"}]}]),
        "log.messages[0].tool_calls[0]: 'function' is required.",
    ),
    (
        log(messages=[{"role": "user", "content": 3}]),
        "log.messages[0].content: got 3 (int), expected a list or a text.",
    ),
    (
        content({"type": "tool_result", "content": "42"}),
        "log.messages[0].content[0]: it fits neither ImageChatContent (type: got 'tool_result' "
        "(str), expected 'image_url') nor TextChatContent (type: got 'tool_result' (str), expected "
        "'text').",
    ),
    (
        content({"type": "text", "text": "a"}, {"type": "text", "text": 3}),
        "log.messages[0].content[1].text: got 3 (int), expected a text.",
    ),
    (
        content({"type": "image_url", "image_url": {}}),
        "log.messages[0].content[0].image_url: 'url' is required.",
    ),
    (content("text"), "log.messages[0].content[0]: got 'text' (str), expected a mapping."),
    (log(judgment={"a": 1}), "log.judgment: got dict, expected true or false or a number or a "),
    (log(feedback=[{"type": "rating"}]), "log.feedback[0]: 'value' is required."),
    (
        log(config={"model": "m", "tools": [{"name": 3}]}),
        "log.config.tools[0].name: got 3 (int), expected a text.",
    ),
    (
        log(config={"model": "m", "response_format": "json"}),
        "log.config.response_format: got 'json' (str), expected a mapping of the documented fields "
        "or a ResponseFormat.",
    ),
    (
        log(created_at="yesterday"),
        "log.created_at: got 'yesterday' (str), expected a datetime, or a text such as "
        "'2024-05-01T12:30:00Z'.",
    ),
    (log(model="m"), "log: unknown field 'model'; put it under config={'model': …}. Known: "),
    (
        lambda evrun: evrun.evaluations.log_batch(
            "ev_1", logs=[dict[str, Any](datapoint_id="1", output="x")]
        ),
        "logs[0]: unknown field 'output'; put it under log={'output': …}. Known: datapoint_id, "
        "evaluatee_id, idempotency_key, log.",
    ),
    (
        lambda evrun: evrun.evaluations.log_batch("ev_1", logs=[dict[str, Any](datapoint_id="1")]),
        "logs[0]: 'log' is required.",
    ),
    (
        lambda evrun: evrun.evaluations.log_batch("ev_1", logs=["x"]),  # type: ignore[list-item]
        "logs[0]: got 'x' (str), expected a mapping of the documented fields or an "
        "EvaluationLogItem.",
    ),
    (
        lambda evrun: evrun.datasets.create_datapoints("evts_1", datapoints=[{"inputs": {"a": 1}}]),
        "datapoints[0].inputs.a: got 1 (int), expected a text.",
    ),
    (
        lambda evrun: evrun.datasets.create_datapoints("evts_1", datapoints=3),  # type: ignore[arg-type]
        "datapoints: got 3 (int), expected a list. Put brackets around a single one.",
    ),
    (
        lambda evrun: evrun.evaluators.create(**EVALUATOR, return_type="bool"),  # type: ignore[arg-type]
        "return_type: got 'bool' (str), expected 'boolean' or ",
    ),
    (
        lambda evrun: evrun.evaluations.update_status("ev_1", status="complete"),  # type: ignore[arg-type]
        "status: got 'complete' (str), expected 'cancelled' or 'completed' or 'pending' or "
        "'running'; the nearest known one is 'completed'.",
    ),
    (
        lambda evrun: evrun.evaluations.result("ev_1", **VERDICT, result="yes"),  # type: ignore[arg-type]
        "result: got 'yes' (str), expected true or false or a number.",
    ),
    (
        lambda evrun: evrun.evaluations.result("ev_1", **VERDICT, result=math.nan),
        "result: nan cannot be sent as JSON; send a finite number, or leave it out.",
    ),
    (
        lambda evrun: evrun.evaluations.result("ev_1", **VERDICT, error="\ud800"),
        "error: the text has half of a surrogate pair (U+D800) at position 0, which UTF-8 cannot ",
    ),
    (
        lambda evrun: evrun.evaluations.create(**RUN, provider_api_keys={"openai": 3}),  # type: ignore[dict-item]
        "provider_api_keys.openai: got 3 (int), expected a text.",
    ),
    (
        lambda evrun: evrun.projects.create(name=None),  # type: ignore[arg-type]
        "name: got None, expected a text.",
    ),
    (
        lambda evrun: evrun.projects.list(filter="\ud800"),
        "filter: the text has half of a surrogate pair",
    ),
    (
        lambda evrun: evrun.logs.list("pr_1", source_filter=["a", 3]),  # type: ignore[list-item]
        "source_filter[1]: got 3 (int), expected a text.",
    ),
    (
        lambda evrun: evrun.logs.update_by_reference(3, output="x"),  # type: ignore[arg-type]
        "reference_id: got 3 (int), expected a text.",
    ),
    (
        lambda evrun: evrun.evaluations.add_evaluators(
            "ev_1", evaluator_ids=itertools.repeat("evfn_1")
        ),
        "evaluator_ids: it has more than 1000000 entries, or never ends. Send it in parts.",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_value_of_the_wrong_kind_is_named(
    client: Evrun, api: FakeApi, call: Callable[[Evrun], object], message: str
) -> None:
    """The error says which value, what came and what was expected; nothing is sent."""
    with pytest.raises(InvalidRequestError) as caught:
        call(client)
    assert str(caught.value).startswith(message)
    assert api.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "model", "parts": [{"text": "x"}], "reasoning": {"effort": 1}}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache": {}}]}]},
        {"messages": [{"role": "user", "content": None, "name": None}]},
        {"config": {"type": "tool", "name": "t", "other": {"a": [None]}, "parameters": None}},
        {"config": {"model": "m", "tools": [{"name": "t", "strict": True, "custom": 1}]}},
        {"config": {"model": "m", "tools": [{"id": "oc_1", "source": "organization", "x": {}}]}},
        {"config": {"model": "m", "tools": [{"id": "mine", "name": "t", "source": "inline"}]}},
        {"config": {"model": "m", "provider": "somebody-new", "endpoint": "new", "stop": ["a"]}},
        {"feedback": {"type": "a-kind-of-ours", "value": ["a", "b"], "weight": 2}},
        {"judgment": ["a"], "duration": 2, "prompt_tokens": 2, "save": None, "inputs": None},
        {"created_at": "2024-05-01T12:30:00", "metadata": {"": {"a.b": {"x" * 99: -0.0}}}},
    ],
    ids=str,
)
def test_what_the_contract_allows_arrives(
    client: Evrun, api: FakeApi, fields: dict[str, Any]
) -> None:
    """Fields of tomorrow, open enumerations, null: a log is sent as it was handed over."""
    with pytest.raises(NotFoundError):
        log(**fields)(client)
    assert api.sent["log"] == fields


def test_a_whole_number_may_be_written_with_a_point(client: Evrun, api: FakeApi) -> None:
    """JSON knows one kind of number, and pandas makes floats of columns with a gap."""
    with pytest.raises(NotFoundError):
        log(prompt_tokens=2.0, created_at="1900-01-01t00:00:00+00:09:21")(client)
    assert api.sent["log"] == {"prompt_tokens": 2, "created_at": "1899-12-31T23:50:39+00:00"}


ODD = {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "42"}]}]}


@pytest.mark.parametrize("kind", [Evrun, AsyncEvrun])
def test_an_odd_log_of_many_fails_alone(kind: type[Evrun | AsyncEvrun], tmp_path: Path) -> None:
    """It is named by its place; those around it are stored."""
    path = tmp_path / "evals.db"
    with Evrun.local(path) as client:
        run, row = running(client)
    odd = (ODD, {"inputs": HOSTILE["cycle"][0]}, {"metadata": HOSTILE["a value that raises"][0]})
    items = [{"datapoint_id": row, "log": log} for log in ({"output": "a"}, *odd, {"output": "b"})]
    asking = Asking(kind.local(path))
    logged = asking.answer(asking.client.run(run.id).iter_log_many, items)
    asking.close()
    assert [each.error is None for each in logged] == [True, False, False, False, True]
    assert [str(each.error).partition(": ")[0] for each in logged[1:4]] == [
        "items[1].log.messages[0].content[0]",
        "items[2].log.inputs" + 10 * ".a" + "…",
        "items[3].log.metadata",
    ]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_odd_log_is_refused_over_every_transport(way: Way) -> None:
    """Nothing is sent, so that no server is needed for it."""
    for log, place in (
        (ODD, "log.messages[0].content[0]: it fits neither "),
        ({"metadata": {"a": HOSTILE["a liar"][0]}}, "log.metadata.a: JSON has no Liar; "),
        ({"output": "\ud800"}, "log.output: the text has half of a surrogate pair"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            way.call("POST", "http://127.0.0.1:1/v4", log=log)
        assert str(caught.value).startswith(place)
