"""A success is parsed once, by the transport; the generated parser gets the value."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import httpx

from _support.fake_api import BASE_URL, KEY, FakeApi
from _support.loopback_server import PAGE
from evrun import Evrun
from evrun._transport.parsed import ParsedResponse

if TYPE_CHECKING:
    import pytest


def test_a_call_parses_its_answer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transport, generated parser and results share one pass over the body."""
    parsed: list[Any] = []
    loads = json.loads

    def counted(text: Any, **kwargs: Any) -> Any:
        parsed.append(text)
        return loads(text, **kwargs)

    monkeypatch.setattr(json, "loads", counted)
    api = FakeApi(200, PAGE)
    with Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client()) as client:
        raw = client.with_raw_response.projects.list()
        assert len(parsed) == 1
        assert raw.http.json() == PAGE


def test_the_value_is_handed_on_once() -> None:
    """A user who changes what `json()` returns does not change a result, nor the next `json()`."""
    answer = httpx.Response(200, json={"a": [1]})
    value = {"a": [1]}
    response = ParsedResponse(answer, value)
    assert response.json() is value
    assert response.json() is not response.json()
    assert response.json(parse_int=float) == {"a": [1.0]}


def test_it_is_the_answer_in_everything_else() -> None:
    """Status, headers and body are the answer's, also in another process."""
    answer = httpx.Response(201, json={}, headers={"X-A": "b"})
    response = pickle.loads(pickle.dumps(ParsedResponse(answer, {})))  # noqa: S301 - our own
    assert (response.status_code, response.headers["X-A"], response.content) == (201, "b", b"{}")
    assert response.json() == {}
