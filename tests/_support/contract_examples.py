"""The contract's examples as one story: what is sent, in which order, and with whose ids."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from _support.served import contract_operations
from evrun.server.api.routes import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _support.served import Api

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
    ("Evaluations_logMany", None),
    ("Evaluators_delete", None),
)

ID = re.compile(r"[a-z]+_[0-9A-Za-z]{21}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


class Ids:
    """Which id of the server stands for which id of the examples."""

    def __init__(self, real: dict[str, str] | None = None, rest: Ids | None = None) -> None:
        self._real: dict[str, str] = {**(rest._real if rest else {}), **(real or {})}

    def all(self) -> set[str]:
        """Return the server's ids."""
        return set(self._real.values())

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

        Examples leave out what is null. A cursor is the server's own: any stands for any.
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
            assert TIME.fullmatch(actual), place  # UTC
            assert datetime.fromisoformat(actual), place
        elif place.endswith(".next_cursor"):
            assert isinstance(actual, str), place
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


def request(name: str, example: str | None) -> tuple[dict[str, Any], Any]:
    """Return the parameters and the body of an example, under the example's ids."""
    operation = contract_operations()[name][2]
    body = operation.get("requestBody")
    content = body["content"]["application/json"] if body else {}
    return arguments(operation), examples(content).get(example)


def tell(api: Api) -> Ids:
    """Send every example, compare every answer, and return the ids that came of it."""
    ids = Ids()
    for name, example in STORY:
        given, body = request(name, example)
        answer = api.ok(name, ids.real(body), **ids.real(given))
        response = contract_operations()[name][2]["responses"][str(OPERATIONS[name].status)]
        if "content" in response:
            shown = examples(response["content"]["application/json"])[example]
            ids.compare(shown, answer, f"{name} answer")
    return ids
