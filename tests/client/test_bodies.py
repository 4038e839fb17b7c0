"""What enters a request body: everything that JSON can say, and nothing else, by its place."""

from __future__ import annotations

import asyncio
import collections
import enum
import time
import tracemalloc
import types
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from asking import METHODS, Asking, calls
from fake_api import BASE_URL, KEY, FakeApi
from hostile import HOSTILE

from evrun import AsyncEvrun, Evrun, LogId
from evrun._plain import plain
from evrun.errors import InvalidRequestError, NotFoundError
from evrun_api.models import ChatMessageWithToolCall, LogRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopback import Loopback

Entry = tuple[str, "Callable[[Any, Any], Any]"]

ENTRIES: list[Entry] = [
    ("log.inputs.x", lambda c, v: c.evaluations.log("ev_1", datapoint_id="1", log=_in("inputs", v))),
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
    return LogRequest(**{name: {"x": value} for name, value in fields.items()})


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
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(InvalidRequestError):
        plain(value, "x")
    took = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024
    assert took < 1  # ten times what it takes with its memory traced


class Obliging(dict[str, Any]):
    """Has every attribute that it is asked for, `to_dict` too."""

    __getattr__ = dict.get


class Loud(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError

    __iter__ = __len__ = keys = values = items


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


@pytest.mark.parametrize(("value", "expected"), KIND, ids=[type(value).__name__ for value, _ in KIND])
def test_what_is_json_underneath_is_sent(
    client: Evrun, api: FakeApi, value: Any, expected: Any
) -> None:
    """Subclasses of JSON's types, mappings, models and moments are what they hold, typed or not."""
    log = {"metadata": {"x": value}, "messages": [{"role": "user", "x": value}]}
    with pytest.raises(NotFoundError):
        client.evaluations.log("ev_1", datapoint_id="1", log=log)
    expected_log = {"metadata": {"x": expected}, "messages": [{"role": "user", "x": expected}]}
    assert api.sent["log"] == expected_log
