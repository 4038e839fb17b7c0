from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from served import MISSING, Api, Run, contract_operations

from evrun.server.routes import OPERATIONS

if TYPE_CHECKING:
    import httpx


def test_every_operation_of_the_contract_is_served_and_no_other() -> None:
    """The routing table and the contract name the same operations, methods and paths."""
    expected = {name: (method, path) for name, (method, path, _) in contract_operations().items()}
    assert {o.id: (o.method, o.path) for o in OPERATIONS.values()} == expected


def test_every_operation_declares_the_status_of_its_success() -> None:
    """A success has the status that the contract gives it."""
    for name, (_, _, operation) in contract_operations().items():
        successes = [int(code) for code in operation["responses"] if code.startswith("2")]
        assert successes == [OPERATIONS[name].status], name


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_needs_a_key(server_http: httpx.Client, name: str) -> None:
    """Without a key, and with a wrong one, every operation answers 401 and says what to do."""
    operation = OPERATIONS[name]
    for headers in ({}, {"X-API-KEY": "evk_wrong"}):
        response = server_http.request(operation.method, operation.path, headers=headers)
        assert response.status_code == 401
        assert "evrun keys create" in response.json()["detail"]


@pytest.fixture
def server_http(api: Api) -> httpx.Client:
    """Return a client without a key."""
    del api.http.headers["X-API-KEY"]
    return api.http


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("Projects_get", {"id": f"pr_{MISSING}"}),
        ("Datasets_get", {"id": f"evts_{MISSING}"}),
        ("Datapoints_get", {"id": MISSING}),
        ("Evaluators_get", {"id": f"evfn_{MISSING}"}),
        ("Evaluations_get", {"id": f"evrun_{MISSING}"}),
        ("Logs_get", {"id": f"data_{MISSING}"}),
        ("ModelConfigs_get", {"id": f"config_{MISSING}"}),
        ("Sessions_get", {"id": f"sesh_{MISSING}"}),
        ("Logs_list", {"project_id": f"pr_{MISSING}"}),
    ],
)
def test_an_id_that_names_nothing_is_404(api: Api, name: str, given: dict[str, str]) -> None:
    """The sentence of a 404 repeats the id."""
    assert next(iter(given.values())) in api.missing(name, **given)


def test_ev_is_another_spelling_and_never_another_name(run: Run) -> None:
    """An id under the alias `ev_` is well-formed and names nothing, because ids are exact."""
    run.api.missing("Evaluations_get", id=run.id.replace("evrun_", "ev_"))
