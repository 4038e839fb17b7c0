"""The contract's examples are one story, told in order: each is sent and answered as it says."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from served import contract_operations

from evrun.server.routes import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from served import Api

# An example's ids come to life when the answer that introduces them has been given.
STORY: tuple[tuple[str, str | None], ...] = (
    ("Projects_create", None),
    ("Projects_get", None),
    ("Projects_list", None),
    ("Datasets_create", None),
    ("Datasets_createDatapoint", "several"),
    ("Datasets_createDatapoint", "one"),
    ("Datasets_get", None),
    ("Datasets_list", None),
    ("Datasets_listDatapoints", None),
    ("Datapoints_get", None),
    ("Evaluators_create", "compared"),
    ("Evaluators_create", "rated"),
    ("Evaluators_create", "spare"),
    ("Evaluators_get", None),
    ("Evaluators_update", None),
    ("Evaluators_list", None),
    ("ModelConfigs_register", None),
    ("ModelConfigs_get", None),
    ("Evaluations_create", None),
    ("Evaluations_updateStatus", None),
    ("Evaluations_addEvaluators", None),
    ("Sessions_create", None),
    ("Evaluations_log", "output"),
    ("Evaluations_log", "full"),
    ("Evaluations_result", "verdict"),
    ("Evaluations_result", "error"),
    ("Evaluations_get", None),
    ("Evaluations_listDatapoints", None),
    ("Evaluations_list", None),
    ("Evaluations_listAllForProject", None),
    ("Logs_get", None),
    ("Logs_update", None),
    ("Logs_updateByRef", None),
    ("Logs_list", None),
    ("Sessions_get", None),
    ("Sessions_list", None),
    ("Datasets_createDatapoint", "from_logs"),
    ("Evaluators_delete", None),
)

ID = re.compile(r"[a-z]+_[0-9A-Za-z]{21}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


class Ids:
    """Which id of the server stands for which id of the examples."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def real(self, example: Any) -> Any:
        """Return what to send for an example."""
        if isinstance(example, dict):
            return {key: self.real(value) for key, value in example.items()}
        if isinstance(example, list):
            return [self.real(value) for value in example]
        if isinstance(example, str):
            return ID.sub(lambda found: self._real[found[0]], example)
        return example

    def compare(self, example: Any, actual: Any, place: str) -> None:
        """Fail unless the answer is the example: ids by what they stand for, any time for a time.

        Examples leave out what is null.
        """
        if isinstance(example, dict):
            assert isinstance(actual, dict), place
            assert set(example) == {key for key in actual if actual[key] is not None}, place
            for key, value in example.items():
                self.compare(value, actual[key], f"{place}.{key}")
        elif isinstance(example, list):
            assert len(example) == len(actual), place
            for index, value in enumerate(example):
                self.compare(value, actual[index], f"{place}[{index}]")
        elif isinstance(example, str) and ID.fullmatch(example):
            assert self._real.setdefault(example, actual) == actual, place
            assert actual.partition("_")[0] == example.partition("_")[0], place
        elif isinstance(example, str) and TIME.fullmatch(example):
            assert datetime.fromisoformat(actual), place
        else:
            assert (example, type(example)) == (actual, type(actual)), place


def examples(media: dict[str, Any]) -> dict[str | None, Any]:
    """Return the examples of a body by their names."""
    if "example" in media:
        return {None: media["example"]}
    return {name: each["value"] for name, each in media.get("examples", {}).items()}


def bodies(operation: dict[str, Any], status: int) -> Iterator[dict[str, Any]]:
    """Yield the media types of the request and of the success."""
    for place in (operation.get("requestBody"), operation["responses"][str(status)]):
        if place and "content" in place:
            yield place["content"]["application/json"]


def arguments(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the examples of the parameters."""
    parameters = operation.get("parameters", ())
    return {each["name"]: each["example"] for each in parameters if "example" in each}


def test_the_story_tells_every_example() -> None:
    """No operation, and no example of one, is left out."""
    told = {
        (name, example)
        for name, (_, _, operation) in contract_operations().items()
        for media in bodies(operation, OPERATIONS[name].status)
        for example in examples(media)
    }
    without_body = {name for name in contract_operations() if name not in dict(told)}
    assert set(STORY) == told | {(name, None) for name in without_body}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_shows_how_it_is_called(name: str) -> None:
    """Each required parameter and each body has an example, with the same names on both sides."""
    operation = contract_operations()[name][2]
    for each in operation.get("parameters", ()):
        assert "example" in each or not each["required"], each["name"]
    named = [set(examples(media)) for media in bodies(operation, OPERATIONS[name].status)]
    assert all(names and names == named[0] for names in named)


def test_the_examples_hold(api: Api) -> None:
    """Sent in order, every example is accepted and answered as the contract shows it."""
    ids = Ids()
    for name, example in STORY:
        operation = contract_operations()[name][2]
        status = OPERATIONS[name].status
        given = ids.real(arguments(operation))
        body, *_ = (*bodies(operation, status), {})
        sent = ids.real(examples(body)[example]) if "requestBody" in operation else None
        answer = api.ok(name, sent, **given)
        shown = operation["responses"][str(status)].get("content")
        if shown:
            ids.compare(examples(shown["application/json"])[example], answer, f"{name} answer")
