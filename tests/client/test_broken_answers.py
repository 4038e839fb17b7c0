"""Answers with one thing wrong, for every operation: an error, or read as they stand."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from _support.client_methods import Asking, as_json, carriers, shown
from _support.contract_examples import STORY, request
from _support.fake_api import BASE_URL, KEY, FakeApi
from evrun import DecodeError, Evrun

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG: tuple[Any, ...] = ({"x": 1}, ["x"], "x", "usr_1", 7, True, None)
METHODS = {
    method: (name, example)
    for name, example in reversed(STORY)  # the first example of an operation is the simplest
    for method in carriers(name, example)
    if ".iter_" not in method and shown(name, example) is not None
}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything within an answer."""
    if path:
        yield path
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from places(child, (*path, key))


def changed(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the answer with another value at one place."""
    answer = copy.deepcopy(answer)
    node = answer
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return answer


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_null(each) for key, each in value.items() if each is not None}
    return [without_null(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("method", sorted(METHODS))
def test_nothing_wrong_passes_for_something_else(method: str) -> None:
    """Whatever stands at whichever place: it is a `DecodeError`, or comes through unchanged."""
    name, example = METHODS[method]
    answer = shown(name, example)
    api = FakeApi()
    refused = 0
    with Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client()) as client:
        asking = Asking(client)
        bound = asking.arguments(name, method, *request(name, example))
        for path in places(answer):
            if path[-1] == "loc":
                continue  # generated code iterates over whatever stands in place of a list of texts
            for wrong in WRONG:
                body = changed(answer, path, wrong)
                api.answer_with(200, body)
                try:
                    result = asking.answer(asking.method(method), *bound.args, **bound.kwargs)
                except DecodeError:
                    refused += 1
                else:
                    assert without_null(as_json(result)) == without_null(body), path
    assert refused
