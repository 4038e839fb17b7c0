"""Hostile texts wherever the contract takes a text: kept to the byte, or refused with a 422.

The places and parameters are enumerated from the contract.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from _support.contract_examples import STORY, Ids, request, tell
from _support.hostile_texts import FRAGMENTS, KEPT, REFUSED, TEXTS, numbered, packed
from _support.served import BASE_URL, Api, Run, contract_operations, make_run
from _support.text_places import Place, merged, places
from evrun.server.api.routes import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# How to read what an operation wrote: which operation, and its parameters from the answer.
READ: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "Projects_create": ("Projects_get", lambda made: {"id": made["id"]}),
    "Datasets_create": ("Datasets_get", lambda made: {"id": made["id"]}),
    "Datasets_createDatapoint": ("Datapoints_get", lambda made: {"id": made[0]["id"]}),
    "Evaluators_create": ("Evaluators_get", lambda made: {"id": made["id"]}),
    "Evaluators_update": ("Evaluators_get", lambda made: {"id": made["id"]}),
    "ModelConfigs_register": ("ModelConfigs_get", lambda made: {"id": made["config"]["id"]}),
    "Evaluations_create": ("Evaluations_get", lambda made: {"id": made["id"]}),
    "Evaluations_log": ("Logs_get", lambda made: {"id": made["id"]}),
    "Evaluations_logMany": ("Logs_get", lambda made: {"id": made["results"][0]["log"]["id"]}),
    "Logs_update": ("Logs_get", lambda made: {"id": made["id"]}),
    "Logs_updateByRef": ("Logs_get", lambda made: {"id": made["id"]}),
}

# No answer of the contract has these. The keys of providers are not even kept.
NOT_SHOWN = re.compile(r"Evaluations_create (name|provider_api_keys\..*)")


@pytest.fixture
def ids(api: Api) -> Iterator[Ids]:
    """Tell the contract's story; a run beside it, with a log and a verdict, stays as it was."""
    ids = tell(api)
    run = make_run(api, project="bystander")
    run.result(run.log(0, output="untouched")["id"], value=True)
    before = everything(run)
    yield ids
    assert everything(run) == before


def everything(run: Run) -> list[Any]:
    return [
        run.api.ok("Projects_get", id=run.project_id),
        run.api.ok("Datasets_get", id=run.dataset_id),
        run.api.ok("Datasets_listDatapoints", dataset_id=run.dataset_id),
        run.api.ok("Evaluators_get", id=run.evaluator_id),
        run.api.ok("ModelConfigs_get", id=run.config_id),
        run.api.ok("Evaluations_listDatapoints", id=run.id),
        run.api.ok("Logs_list", project_id=run.project_id),
        run.get(evaluator_aggregates="true"),
    ]


@pytest.mark.parametrize("name", sorted(each for each in contract_operations() if places(each)))
def test_texts_in_bodies(api: Api, ids: Ids, name: str) -> None:
    """A hostile text is treated as any other there, and what is taken is given back as it was."""
    numbers = itertools.count()

    def outcome(place: Place, text: str) -> int:
        given, body = base(ids, name, place)
        if name == "Evaluations_logMany":
            body["logs"][0]["idempotency_key"] = f"key-{next(numbers)}"
        response = api.send(name, merged(body, place.build(text)), **given)
        assert response.headers["Content-Type"] == "application/json"
        answer = response.json()
        status = response.status_code
        if name == "Evaluations_logMany" and response.is_success:
            status = answer["results"][0]["status"]
        if status < 300 and not NOT_SHOWN.fullmatch(f"{name} {place}"):
            assert text in texts(read(api, name, given, answer)), str(place)
        return status

    for place in places(name).values():
        usual = outcome(place, f"usual {next(numbers)}")
        for text in packed(next(numbers)):
            assert outcome(place, text) == (usual if place.free else 422), (str(place), text)
        for kind in REFUSED:
            status = outcome(place, numbered(TEXTS[kind], next(numbers)))
            allowed = {422, usual} if kind == "U+0000" and place.free else {422}
            assert status in allowed, (str(place), kind)


def base(ids: Ids, name: str, place: Place) -> tuple[dict[str, Any], Any]:
    """Return the parameters and the body of the example that has most to do with a place."""
    examples = [request(each, example) for each, example in STORY if each == name]
    same_kind = [each for each in examples if isinstance(each[1], list) == (place.path[0] == 0)]
    given, body = next((each for each in same_kind if place.path[0] in each[1]), same_kind[0])
    return ids.real(given), ids.real(body)


def read(api: Api, name: str, given: dict[str, Any], answer: Any) -> Any:
    if name == "Evaluations_result":
        return api.ok("Evaluations_listDatapoints", id=given["evaluation_id"])
    operation, parameters = READ[name]
    return api.ok(operation, **parameters(answer))


def texts(node: Any) -> Iterator[str]:
    """Yield every text of some JSON, names too."""
    if isinstance(node, dict):
        yield from node
    elif isinstance(node, str):
        yield node
    if isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from texts(each)


def test_texts_in_parameters(api: Api, ids: Ids) -> None:
    """Each is looked for and not there, or refused; in a path too, whatever it decodes to."""
    for name in sorted(OPERATIONS):
        try_parameters(api, ids, name)


def try_parameters(api: Api, ids: Ids, name: str) -> None:
    method, path, description = contract_operations()[name]
    for parameter, kind in itertools.product(description["parameters"], TEXTS):
        given, body = ids.real(request(name, dict(STORY[::-1])[name]))
        text = TEXTS[kind].encode("utf-8", "surrogatepass")
        given = {each: str(value).encode() for each, value in given.items()}
        given[parameter["name"]] = text
        kinds = {each["name"]: each["in"] for each in description["parameters"]}
        address, query = path, {}
        for each, value in given.items():
            address = address.replace(f"{{{each}}}", quote(value, safe=""))
            if kinds[each] == "query":
                query[each] = value
        headers = {each: value for each, value in given.items() if kinds[each] == "header"}
        target = f"{BASE_URL}{address}?{urlencode(query)}"
        response = api.http.request(method, target, json=body, headers=headers)
        where = (name, parameter["name"], kind, response.text)
        assert response.headers["Content-Type"] == "application/json"
        if parameter["in"] == "header" and re.fullmatch(rb"[!-~]+", text):
            assert response.status_code < 500, where  # a key like any other
        elif response.status_code == 200:
            assert response.json()["records"] == [], where  # a search, or a filter
        else:
            assert response.status_code in {404, 422}, where


def folded(text: str) -> str:
    return unicodedata.normalize("NFC", text.casefold())


SEARCHES = [*(TEXTS[name] for name in KEPT), *FRAGMENTS]


@pytest.mark.both_databases
def test_searches_find_what_they_say(api: Api) -> None:
    """Projects by name, logs by what they hold: every text, and each sign that means something."""
    run = make_run(api)
    for text in (TEXTS[name] for name in KEPT):
        api.ok("Projects_create", {"name": text})
        run.log(0, output=text, metadata={"noted": text})
    for term in SEARCHES:
        expected = sorted(TEXTS[name] for name in KEPT if folded(term) in folded(TEXTS[name]))
        if folded(term) in "capitals":
            continue
        found = api.ok("Projects_list", filter=term, size=100)["records"]
        assert sorted(each["name"] for each in found) == expected, term
        for parameter in ("search", "metadata_search"):
            query = {parameter: term, "project_id": run.project_id, "size": 100}
            found = api.ok("Logs_list", **query)["records"]
            assert sorted(each["output"] for each in found) == expected, (parameter, term)


@pytest.mark.both_databases
def test_filters_and_references_mean_one_text(api: Api) -> None:
    """A filter by source, a reference and a session's reference: that one, and no other."""
    run = make_run(api)
    logs = {
        name: run.log(
            0, source=TEXTS[name], reference_id=TEXTS[name], session_reference_id=TEXTS[name]
        )
        for name in KEPT
    }
    assert len({each["session_id"] for each in logs.values()}) == len(KEPT)
    for name, log in logs.items():
        found = api.ok("Logs_list", project_id=run.project_id, source_filter=TEXTS[name])
        assert [each["id"] for each in found["records"]] == [log["id"]]
        changed = api.ok("Logs_updateByRef", {"output": name}, reference_id=TEXTS[name])
        assert changed["id"] == log["id"]
        again = run.log(1, session_reference_id=TEXTS[name], parent_reference_id=TEXTS[name])
        assert again["session_id"] == log["session_id"]
    for name, log in logs.items():
        assert api.ok("Logs_get", id=log["id"])["output"] == name
    for fragment in FRAGMENTS:
        found = api.ok("Logs_list", project_id=run.project_id, source_filter=fragment)
        assert found["records"] == []
