"""Every method of the overlay by the contract's examples: what is sent, and what is made of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from _support.client_methods import METHODS, Asking, as_json, calls, carriers, shown
from _support.contract_examples import ID, STORY, Ids, request
from _support.fake_api import BASE_URL, KEY, FakeApi
from _support.served import contract_operations
from evrun import AsyncEvrun, Evrun, InvalidIdError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SYNC_AND_ASYNC = pytest.mark.parametrize("kind", [Evrun, AsyncEvrun])
OPERATIONS = pytest.mark.parametrize("name", sorted(METHODS))


@pytest.fixture
def told(kind: type[Evrun | AsyncEvrun], tmp_path: Path) -> Iterator[Asking]:
    """Return a client of the real server."""
    asking = Asking(kind.local(tmp_path / "evals.db"))
    yield asking
    asking.close()


@pytest.fixture
def api() -> FakeApi:
    """Return an API in which there is nothing."""
    return FakeApi(404, {"detail": "There is nothing."})


@pytest.fixture
def asking(kind: type[Evrun | AsyncEvrun], api: FakeApi) -> Iterator[Asking]:
    """Return a client of that API."""
    if kind is Evrun:
        made: Any = Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client())
    else:
        http = api.async_http_client()
        made = AsyncEvrun(api_key=KEY, base_url=BASE_URL, http_client=http)
    asking = Asking(made)
    yield asking
    asking.close()


@SYNC_AND_ASYNC
@OPERATIONS
def test_every_argument_is_sent_where_the_contract_has_it(
    asking: Asking, api: FakeApi, name: str
) -> None:
    """Method, path, query and body are those of the example, with nothing added or lost."""
    verb, path, operation = contract_operations()[name]
    for method, given, body in calls(name):
        bound = asking.arguments(name, method, given, body)
        with pytest.raises(NotFoundError):
            asking.answer(asking.method(method), *bound.args, **bound.kwargs)
        sent = api.requests.pop()
        assert sent.method == verb
        assert sent.url.path == "/v4" + path.format_map(given)
        walks = {"page", "size"} if ".iter_" in method else set()
        query = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        assert sorted(pair for pair in sent.url.params.multi_items() if pair[0] not in walks) == (
            sorted(_query({key: given[key] for key in query & given.keys() - walks}))
        )
        expected = (
            [body] if isinstance(body, dict) and method.endswith(".create_datapoints") else body
        )
        assert (json.loads(sent.content) if sent.content else None) == expected


def _query(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in given.items():
        for each in value if isinstance(value, list) else [value]:
            yield key, each if isinstance(each, str) else json.dumps(each)


@SYNC_AND_ASYNC
@OPERATIONS
def test_every_id_is_checked_before_anything_is_sent(
    asking: Asking, api: FakeApi, name: str
) -> None:
    """Whichever argument holds what is no id, the error names that argument."""
    for method, given, body in calls(name):
        bound = asking.arguments(name, method, given, body)
        for place, value in list(bound.arguments.items()):
            if not _is_id(value):
                continue
            bound.arguments[place] = ["no/id"] if isinstance(value, list) else "no/id"
            with pytest.raises(InvalidIdError, match=rf"^{place}\b.*no/id"):
                asking.answer(asking.method(method), *bound.args, **bound.kwargs)
            bound.arguments[place] = value
    assert api.requests == []


def _is_id(value: Any) -> bool:
    several = value if isinstance(value, list) else [value]
    return bool(several) and all(isinstance(each, str) and ID.fullmatch(each) for each in several)


def tell(told: Asking) -> tuple[Ids, set[str]]:
    """Send every example; return the ids that came of it and the methods that were called.

    Each answer is the contract's example, and an `iter_…` walks through what its page shows.
    """
    ids, asked = Ids(), set()
    for name, example in STORY:
        given, body = (ids.real(each) for each in request(name, example))
        page = None
        for method in carriers(name, example):
            bound = told.arguments(name, method, given, body)
            if ".iter_" in method:
                assert page is not None
                kwargs = {**bound.kwargs, "page_size": 1}
                records = told.answer(told.method(method), *bound.args, **kwargs)
                assert len(records) == page.total
                assert tuple(records[: len(page.records)]) == page.records
            else:
                page = told.answer(told.method(method), *bound.args, **bound.kwargs)
                ids.compare(shown(name, example), as_json(page), method)
            asked.add(method)
    return ids, asked


@SYNC_AND_ASYNC
def test_every_answer_is_read_true_to_the_last_field(told: Asking) -> None:
    """The contract's whole story can be told through the overlay, and no method is left out."""
    _, asked = tell(told)
    assert asked == {method for methods in METHODS.values() for method in methods}


@SYNC_AND_ASYNC
def test_a_bound_run_does_what_the_operations_do(told: Asking) -> None:
    """Each method of `client.run(…)` is the operation on that run, with nothing lost."""
    ids, _ = tell(told)
    given, verdict = (ids.real(each) for each in request("Evaluations_result", "verdict"))
    row = ids.real(request("Evaluations_log", "output")[1])["datapoint_id"]
    evaluatee = {"evaluatee_id": given["evaluatee_id"]}
    evaluator = {"evaluator_id": verdict["evaluator_id"]}
    run = told.client.run(given["evaluation_id"])
    assert repr(run) == f"{type(run).__name__}({given['evaluation_id']!r})"

    reads: tuple[tuple[Any, str, dict[str, Any]], ...] = (
        (run.get, "get", {"evaluator_aggregates": True, **evaluatee}),
        (run.datapoints, "list_datapoints", {"page": 2, "size": 1, **evaluatee}),
        (run.iter_datapoints, "iter_datapoints", {"page_size": 2, **evaluatee}),
        (run.add_evaluators, "add_evaluators", {"evaluator_ids": [*evaluator.values()]}),
    )
    for bound, name, options in reads:
        expected = told.answer(told.method(f"evaluations.{name}"), run.id, **options)
        assert told.answer(bound, **options) == expected

    logged = told.answer(run.log, row, log={"output": "bound"}, **evaluatee)
    assert told.answer(told.method("logs.get"), logged.id).output == "bound"
    judged = told.answer(run.result, logged.id, **evaluator, result=False, **evaluatee)
    assert (judged.log_id, judged.value) == (logged.id, False)
    statuses = [told.answer(each).status for each in (run.complete, run.start, run.cancel)]
    assert statuses == ["completed", "running", "cancelled"]
