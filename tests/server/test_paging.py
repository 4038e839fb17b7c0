"""Every paged list, under every sort: each record once, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from served import contract_operations, make_evaluator, make_run
from test_runs import make_run_with

if TYPE_CHECKING:
    from served import Api, Run

ORDERS = ("asc", "desc")
SORTS: dict[str, list[dict[str, str]]] = {
    "Projects_list": [
        {"sort_by": column, "order": order}
        for column in ("created_at", "updated_at", "name")
        for order in ORDERS
    ],
    "Datasets_listDatapoints": [],
    "Evaluations_listDatapoints": [],
    "Evaluations_list": [
        {"sort": f"{column}.{order}"}
        for column in ("dataset", "config", "status", "evaluator-{evaluator}", "evaluator-evfn_0")
        for order in ORDERS
    ],
    "Logs_list": [
        {"sort": f"{column}.{order}"}
        for column in ("source", "model", "timestamp", "feedback-rating", "feedback-none")
        for order in ORDERS
    ],
    "Sessions_list": [],
}
CASES = [(name, sort) for name, sorts in SORTS.items() for sort in ({}, *sorts)]


def test_every_paged_list_is_here() -> None:
    """No operation with pages is left out."""
    paged = {
        name
        for name, (_, _, operation) in contract_operations().items()
        if "page" in {each["name"] for each in operation.get("parameters", ())}
    }
    assert set(SORTS) == paged


@pytest.fixture
def alike(run: Run) -> dict[str, str]:
    """Fill every list with what sorts alike; return the ids that requests name."""
    api = run.api
    for name in ("b", "c"):
        make_run(api, project=name)
    for _ in range(2):
        make_run_with(api, run)
    for number in range(5):
        session = {"session_reference_id": str(number % 3), "source": "ci"}
        feedback = {"type": "rating", "value": "good"}
        log = {**session, "feedback": feedback, "created_at": "2024-01-01T00:00:00Z"}
        run.log(number % 3, **log)
    make_evaluator(api, name="unused")
    return {
        "project_id": run.project_id,
        "dataset_id": run.dataset_id,
        "id": run.id,
        "evaluator": run.evaluator_id,
    }


@pytest.mark.parametrize(("name", "sort"), CASES)
def test_pages_cut_one_order_into_pieces(
    api: Api, alike: dict[str, str], name: str, sort: dict[str, str]
) -> None:
    """Pages of one record each are the whole list, in its order; beyond it there is nothing."""
    parameters = {each["name"]: each for each in contract_operations()[name][2]["parameters"]}
    first: int = parameters["page"]["schema"]["default"]
    given: dict[str, Any] = {
        key: alike[key] for key in alike if parameters.get(key, {}).get("required")
    }
    given |= {key: value.format(**alike) for key, value in sort.items()}
    whole = api.ok(name, **given, size=1000)
    assert len(whole["records"]) == whole["total"] >= 3
    pages = [
        api.ok(name, **given, size=1, page=first + number) for number in range(whole["total"] + 1)
    ]
    assert [each for page in pages for each in page["records"]] == whole["records"]
    assert {page["total"] for page in pages} == {whole["total"]}
    assert pages[-1]["records"] == []
