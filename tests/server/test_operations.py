from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from _support.served import MISSING, Api, Run, contract_operations
from evrun.server.api import unserved
from evrun.server.api.routes import OPERATIONS
from evrun.server.hosting.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_every_operation_of_the_contract_is_served_and_no_other() -> None:
    """The routing table and the contract name the same operations, methods and paths."""
    expected = {name: (method, path) for name, (method, path, _) in contract_operations().items()}
    assert {o.id: (o.method, o.path) for o in OPERATIONS.values()} == expected


def test_every_operation_declares_the_status_of_its_success() -> None:
    """A success has the status that the contract gives it."""
    for name, (_, _, operation) in contract_operations().items():
        successes = [int(code) for code in operation["responses"] if code.startswith("2")]
        assert successes == [OPERATIONS[name].status], name


@pytest.mark.parametrize(
    ("method", "path", "operation"), [each[:3] for each in unserved.OPERATIONS], ids=str
)
def test_an_operation_that_is_not_served_is_named_with_its_substitute(
    sqlite_http: httpx.Client, method: str, path: str, operation: str
) -> None:
    """Code for v4 that calls what is not here learns what to use instead."""
    response = sqlite_http.request(method, re.sub("{[^}]*}", "x_1", path))
    assert response.status_code in {404, 405}
    said = response.json()["detail"]
    assert said.startswith(f"{operation} of the vendor's v4 API is not served here. ")


@pytest.mark.parametrize("path", ["/v4/chats", "/v4/chat/", "/chat", "/v5/chat", "/v4/datasets"])
def test_what_the_vendor_does_not_have_either_is_not_named(
    sqlite_http: httpx.Client, path: str
) -> None:
    """Another path or method is told how paths start, or which methods there are."""
    response = sqlite_http.post(f"http://evrun.local{path}")
    assert response.json()["detail"].startswith(("There is nothing here.", "This path does not"))


def test_no_operation_is_both_served_and_not() -> None:
    """The table of what is not served holds nothing of the contract's."""
    served = {(method, path) for method, path, _ in contract_operations().values()}
    assert served.isdisjoint((method, path) for method, path, *_ in unserved.OPERATIONS)
    assert contract_operations().keys().isdisjoint(each[2] for each in unserved.OPERATIONS)


@pytest.fixture(scope="module")
def sqlite_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Return a client of a server that only its routes are asked of."""
    server = EmbeddedServer(tmp_path_factory.mktemp("unserved") / "evals.db")
    with httpx.Client(transport=server.transport(), base_url=server.base_url) as client:
        yield client
    server.close()


def test_every_operation_needs_a_key(server_http: httpx.Client) -> None:
    """Without a key, and with a wrong one, every operation answers 401 and says what to do."""
    for name, operation in OPERATIONS.items():
        for headers in ({}, {"X-API-KEY": "evk_wrong"}):
            response = server_http.request(operation.method, operation.path, headers=headers)
            assert response.status_code == 401, name
            assert "evrun keys create" in response.json()["detail"]


@pytest.fixture
def server_http(api: Api) -> httpx.Client:
    """Return a client without a key."""
    del api.http.headers["X-API-KEY"]
    return api.http


UNKNOWN: list[tuple[str, dict[str, str]]] = [
    ("Projects_get", {"id": f"pr_{MISSING}"}),
    ("Datasets_get", {"id": f"evts_{MISSING}"}),
    ("Datapoints_get", {"id": MISSING}),
    ("Evaluators_get", {"id": f"evfn_{MISSING}"}),
    ("Evaluations_get", {"id": f"evrun_{MISSING}"}),
    ("Logs_get", {"id": f"data_{MISSING}"}),
    ("ModelConfigs_get", {"id": f"config_{MISSING}"}),
    ("Sessions_get", {"id": f"sesh_{MISSING}"}),
    ("Logs_list", {"project_id": f"pr_{MISSING}"}),
]


def test_an_id_that_names_nothing_is_404(api: Api) -> None:
    """The sentence of a 404 repeats the id."""
    for name, given in UNKNOWN:
        assert next(iter(given.values())) in api.missing(name, **given)


def test_ev_is_another_spelling_and_never_another_name(run: Run) -> None:
    """An id under the alias `ev_` is well-formed and names nothing, because ids are exact."""
    run.api.missing("Evaluations_get", id=run.id.replace("evrun_", "ev_"))
