"""Every paged list, under every sort: each record once, in one order."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from _support.served import (
    contract_operations,
    make_evaluator,
    make_run,
    make_run_with,
    parameters,
    required,
)
from evrun.server.store.ordering import DISTINCT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _support.served import Api, Run


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


def walk(api: Api, name: str, **given: Any) -> Iterator[Any]:
    """Yield the pages of a list, each but the first by the cursor of the one before."""
    page = api.ok(name, **given)
    yield page
    while page["next_cursor"] is not None:
        page = api.ok(name, **given, cursor=page["next_cursor"])
        yield page


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


@pytest.mark.both_databases
def test_pages_cut_one_order_into_pieces(api: Api, alike: dict[str, str]) -> None:
    """Pages of one record each are the whole list, in its order; beyond it there is nothing.

    So they are when each is asked for by the cursor of the one before.
    """
    for name, sort in CASES:
        first: int = parameters(name)["page"]["schema"]["default"]
        given = required(name, alike) | {key: value.format(**alike) for key, value in sort.items()}
        whole = api.ok(name, **given, size=1000)
        assert len(whole["records"]) == whole["total"] >= 3
        numbers = range(first, first + whole["total"] + 1)
        pages = [api.ok(name, **given, size=1, page=number) for number in numbers]
        assert [each for page in pages for each in page["records"]] == whole["records"], sort
        assert {page["total"] for page in pages} == {whole["total"]}
        assert pages[-1]["records"] == []
        behind = list(walk(api, name, **given, size=1))
        assert [page["records"] for page in behind] == [page["records"] for page in pages[:-1]]
        assert {page["total"] for page in behind} == {whole["total"]}


def written(*values: Any) -> str:
    """Return a cursor as a server writes it."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()


def listed(cursor: str) -> str:
    """Return what a cursor says of its list."""
    found: str = json.loads(base64.urlsafe_b64decode(cursor + "=="))[0]
    return found


def test_pages_count_from_the_cursor(run: Run) -> None:
    """`page` and `cursor` together: so many pages behind it; `total` is that of the whole list."""
    given = {"dataset_id": run.dataset_id, "size": 1}
    ids = [each["records"][0]["id"] for each in walk(run.api, "Datasets_listDatapoints", **given)]
    cursor = run.api.ok("Datasets_listDatapoints", **given)["next_cursor"]
    page = run.api.ok("Datasets_listDatapoints", **given, cursor=cursor, page=1)
    assert [each["id"] for each in page["records"]] == ids[2:]
    assert (page["page"], page["total"], page["next_cursor"]) == (1, 3, None)


def test_the_size_may_change_from_page_to_page(run: Run) -> None:
    """A cursor says where to go on, and nothing of how far."""
    cursor = run.api.ok("Datasets_listDatapoints", dataset_id=run.dataset_id, size=1)["next_cursor"]
    page = run.api.ok("Datasets_listDatapoints", dataset_id=run.dataset_id, cursor=cursor, size=5)
    assert len(page["records"]) == 2


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!", "é", written(1), written("x", 0), written({}), "W" * 20_000, "W1tb" * 5_000],
    ids=lambda cursor: cursor[:9],
)
def test_what_is_no_cursor_is_refused(run: Run, cursor: str) -> None:
    """At its place, whatever it is."""
    given = {"dataset_id": run.dataset_id, "cursor": cursor}
    complaint = run.api.refused("Datasets_listDatapoints", **given)
    assert complaint == (["query", "cursor"], "cursor")


BY_MEAN = {"sort": "evaluator-evfn_0.asc"}
UNFIT: dict[str, tuple[dict[str, str], list[list[Any]]]] = {
    "Datasets_listDatapoints": (
        {},
        [[], [None], ["0"], [True], [1.0], [10**400], [2**31], [0, 0]],
    ),
    "Evaluations_list": ({}, [[None], [1], ["a\0"], ["\ud800"], [[]]]),
    "Evaluations_list by mean": (BY_MEAN, [["x", "evrun_1"], [True, "evrun_1"], [1, "evrun_1"]]),
    "Logs_list": (
        {},
        [
            [value, "data_1"]
            for value in (None, 1, "x", "2024-01-01T00:00:00", "0001-01-01T00:00:00+01:00")
        ],
    ),
}
"""Values that a cursor of the list cannot hold."""


@pytest.mark.parametrize(
    ("name", "sort", "values"),
    [(name.split()[0], sort, each) for name, (sort, several) in UNFIT.items() for each in several],
)
def test_a_cursor_holds_what_its_list_is_sorted_by(
    run: Run, name: str, sort: dict[str, str], values: list[Any]
) -> None:
    """A value of another kind, or one that no database takes, is refused at the cursor."""
    known = {"project_id": run.project_id, "dataset_id": run.dataset_id}
    make_run_with(run.api, run)
    run.log()
    run.log()
    given = required(name, known) | sort | {"size": 1}
    cursor = run.api.ok(name, **given)["next_cursor"]
    complaint = run.api.refused(name, **given, cursor=written(listed(cursor), *values))
    assert complaint == (["query", "cursor"], "cursor")


@pytest.mark.parametrize(
    "other",
    [
        {"sort": "status.desc"},
        {"sort": "config.asc"},
        {"status_filter": "running"},
        {"project_id": "other"},
    ],
)
def test_a_cursor_of_another_list_is_refused(api: Api, run: Run, other: dict[str, str]) -> None:
    """Other filters, another order or another project: the sentence says what to do."""
    make_run_with(api, run)
    if "project_id" in other:
        other = {"project_id": make_run(api, project="other").project_id}
    given = {"project_id": run.project_id, "sort": "status.asc", "size": 1}
    cursor = api.ok("Evaluations_list", **given)["next_cursor"]
    refused = api.send("Evaluations_list", **{**given, **other, "cursor": cursor})
    assert refused.json()["detail"] == [
        {
            "loc": ["query", "cursor"],
            "msg": "The cursor is of another list, or of other filters or another order. Pass the "
            "`next_cursor` of an earlier page as it is, or leave it out to begin anew.",
            "type": "cursor",
        }
    ]


@pytest.mark.both_databases
def test_long_texts_make_no_long_cursors(run: Run) -> None:
    """Texts are sorted by their first characters, so that a cursor fits into an address."""
    sources = ["é" * 100_000 + str(number) for number in range(2)]
    for number, source in enumerate(sources):
        run.log(number, source=source)
    given = {"project_id": run.project_id, "sort": "source.asc", "size": 1}
    pages = list(walk(run.api, "Logs_list", **given))
    assert [each["source"] for page in pages for each in page["records"]] == sources[::-1]
    assert len(pages[0]["next_cursor"]) < 4 * DISTINCT


def test_null_comes_last_either_way_behind_a_cursor(run: Run) -> None:
    """Logs without a source are on the last pages, each once, under either order."""
    for number, source in enumerate([None, "a", "b"]):
        run.log(number, source=source) if source else run.log(number)
    run.log(0)
    for order, sources in (("asc", ["a", "b", None, None]), ("desc", ["b", "a", None, None])):
        given = {"project_id": run.project_id, "sort": f"source.{order}", "size": 1}
        pages = list(walk(run.api, "Logs_list", **given))
        assert [page["records"][0]["source"] for page in pages] == sources
        assert len({page["records"][0]["id"] for page in pages}) == 4
