from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from served import MISSING, Api, Run, contract_operations

from evrun.server import create_key
from evrun.server.routes import OPERATIONS
from evrun.server.store.organisations import find_or_create

if TYPE_CHECKING:
    import httpx

    from evrun.server.database import Database

NAMES_AN_OBJECT = sorted(
    operation.id
    for operation in OPERATIONS.values()
    if "{" in operation.path or "project_id" in operation.parameters.model_fields
)


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


def _arguments(run: Run, name: str, log_id: str, session_id: str) -> tuple[dict[str, Any], object]:
    ids = {
        "Datapoints_get": run.datapoint_ids[0],
        "Datasets_get": run.dataset_id,
        "Evaluators_get": run.evaluator_id,
        "Evaluators_update": run.evaluator_id,
        "Evaluators_delete": run.evaluator_id,
        "Logs_get": log_id,
        "Logs_update": log_id,
        "ModelConfigs_get": run.config_id,
        "Projects_get": run.project_id,
        "Sessions_get": session_id,
    }
    known = {
        "id": ids.get(name, run.id),
        "evaluation_id": run.id,
        "project_id": run.project_id,
        "dataset_id": run.dataset_id,
    }
    fields = OPERATIONS[name].parameters.model_fields
    bodies: dict[str, object] = {
        "Datasets_create": {"name": "d", "description": ""},
        "Datasets_createDatapoint": {},
        "Evaluations_addEvaluators": {"evaluator_ids": [run.evaluator_id]},
        "Evaluations_create": {
            "config_id": run.config_id,
            "dataset_id": run.dataset_id,
            "evaluator_ids": [],
            "hl_generated": False,
        },
        "Evaluations_log": run.log_body(),
        "Evaluations_result": {
            "log_id": log_id,
            "evaluator_id": run.evaluator_id,
            "result": True,
        },
        "Evaluations_updateStatus": {"status": "running"},
        "Evaluators_update": {"description": "other"},
        "Logs_update": {"output": "other"},
    }
    query = {key: value for key, value in known.items() if key in fields}
    if name in {"Evaluations_list", "Logs_list", "Sessions_list"}:
        query = {"project_id": run.project_id}
    return query, bodies.get(name)


@pytest.mark.parametrize("name", NAMES_AN_OBJECT)
def test_what_belongs_to_another_organisation_is_not_there(
    run: Run, database: Database, name: str
) -> None:
    """Every operation that names an object answers 404 where the object is another's."""
    logged = run.log(output="x", session_reference_id="s")
    query, body = _arguments(run, name, logged["id"], logged["session_id"])

    key = create_key(database, "theirs")
    theirs = database.write(lambda connection: find_or_create(connection, "others"))
    database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE api_keys SET organisation_id = ?", (theirs,)
        )
    )
    other = Api(run.api.http._transport, key)
    assert other.missing(name, body, **query)
    if name == "Evaluators_delete":  # ours is in use, which only we may learn
        assert run.api.send(name, body, **query).status_code == 409
    else:
        run.api.ok(name, body, **query)


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
