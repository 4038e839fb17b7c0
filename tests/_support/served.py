"""The real server in this process, every answer of which is held against the contract."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
from attrs import frozen
from pydantic import TypeAdapter
from ruamel.yaml import YAML

import evrun_models
from _support.parsed_answers import read
from evrun.server.api.routes import OPERATIONS

if TYPE_CHECKING:
    from evrun.server.api.operations import Operation

CONTRACT_PATH = Path(__file__).parents[2] / "openapi" / "openapi.yaml"
BASE_URL = "http://evrun.test/v4"
MISSING = "a" * 21
"""What follows the prefix of an id that names nothing."""


@cache
def contract() -> dict[str, Any]:
    """Return the contract."""
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(CONTRACT_PATH)
    return document


@cache
def contract_operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return every operation of the contract by its id: method, path and description."""
    return {
        operation["operationId"]: (method.upper(), path, _resolved(operation))
        for path, item in contract()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def parameters(name: str) -> dict[str, Any]:
    """Return what the contract says of each parameter."""
    return {each["name"]: each for each in contract_operations()[name][2]["parameters"]}


def required(name: str, known: dict[str, str]) -> dict[str, Any]:
    """Return the parameters without which there is no list, of those that are known."""
    return {key: known[key] for key, each in parameters(name).items() if each["required"]}


def _resolved(operation: dict[str, Any]) -> dict[str, Any]:
    """Return an operation with the parameters that it shares with others."""
    shared = contract()["components"]["parameters"]
    parameters = [
        shared[each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each
        for each in operation.get("parameters", ())
    ]
    return {**operation, "parameters": parameters}


@cache
def _validator(operation_id: str, status: int) -> jsonschema.Draft202012Validator:
    response = contract_operations()[operation_id][2]["responses"][str(status)]
    if "$ref" in response:
        response = contract()["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    schema = response["content"]["application/json"]["schema"]
    return jsonschema.Draft202012Validator({**_closed(schema), "components": _closed_components()})


@cache
def _closed_components() -> Any:
    return _closed(contract()["components"])


def _closed(node: Any) -> Any:
    """Return a schema under which an answer may have no field that is not documented."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "type" in node:
        closed.setdefault("additionalProperties", False)
    return closed


@cache
def _model(operation_id: str, status: int) -> TypeAdapter[Any]:
    response = contract_operations()[operation_id][2]["responses"][str(status)]
    schema = response["content"]["application/json"]["schema"]
    kind = schema["items"] if schema.get("type") == "array" else schema
    name = kind["$ref"].rsplit("/", 1)[1].replace("PaginatedData_", "PaginatedData").rstrip("_")
    model: Any = getattr(evrun_models, name)
    # An alias made at run time: a checker takes `list[model]` for a type.
    several: Any = GenericAlias(list, model)
    return TypeAdapter(several if schema.get("type") == "array" else model)


def conforms(response: httpx.Response, operation_id: str) -> None:
    """Fail unless the response is one that the contract gives this operation.

    It is held against the schema and both generated packages, and read by the overlay.
    """
    status = response.status_code
    declared = contract_operations()[operation_id][2]["responses"]
    assert str(status) in declared, f"{operation_id} has no {status}: {response.text}"
    if status == 204:
        assert response.content == b""
        read(operation_id, status, b"")
        return
    _validator(operation_id, status).validate(response.json())
    read(operation_id, status, response.content)
    if status < 300:
        _model(operation_id, status).validate_json(response.content, strict=True)
    elif status == 422:
        assert all(set(each) == {"loc", "msg", "type"} for each in response.json()["detail"])
    else:
        assert set(response.json()) == {"detail"}
    assert response.headers["X-Request-ID"]
    assert response.headers["Evrun-Capabilities"]


class Api:
    """Calls operations by id and checks each answer."""

    def __init__(self, transport: httpx.BaseTransport, key: str) -> None:
        self.http = httpx.Client(base_url=BASE_URL, transport=transport, headers={"X-API-KEY": key})

    def send(
        self,
        operation_id: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        idempotency_key: str | None = None,
        **given: Any,
    ) -> httpx.Response:
        """Send a request; `given` are path and query parameters."""
        operation: Operation = OPERATIONS[operation_id]
        path = operation.path
        for name in list(given):
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", given.pop(name))
        if content is None and body is not None:
            content = json.dumps(body).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        response = self.http.request(
            operation.method,
            path,
            params=given,
            content=content,
            headers=headers,
        )
        conforms(response, operation_id)
        return response

    def ok(self, operation_id: str, body: Any = None, **given: Any) -> Any:
        """Return the body of a success."""
        response = self.send(operation_id, body, **given)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def refused(self, operation_id: str, body: Any = None, **given: Any) -> tuple[Any, str]:
        """Return the place and the type of the one complaint of a 422."""
        response = self.send(operation_id, body, **given)
        assert response.status_code == 422, response.text
        (complaint,) = response.json()["detail"]
        return complaint["loc"], complaint["type"]

    def missing(self, operation_id: str, body: Any = None, **given: Any) -> str:
        """Return the sentence of a 404."""
        response = self.send(operation_id, body, **given)
        assert response.status_code == 404, response.text
        detail: str = response.json()["detail"]
        return detail


@frozen(kw_only=True)
class Run:
    """A run and everything that it stands on."""

    api: Api
    id: str
    evaluatee_id: str
    project_id: str
    dataset_id: str
    config_id: str
    evaluator_id: str
    datapoint_ids: tuple[str, ...]

    def log(self, datapoint: int = 0, /, **log: Any) -> Any:
        """Log to one of the datapoints and return the answer."""
        return self.api.ok("Evaluations_log", self.log_body(datapoint, **log), **self.path)

    def log_refused(self, **log: Any) -> tuple[Any, str]:
        """Return why a log is refused."""
        return self.api.refused("Evaluations_log", self.log_body(**log), **self.path)

    def log_body(self, datapoint: int = 0, /, **log: Any) -> Any:
        """Return the body of a log."""
        return {"datapoint_id": self.datapoint_ids[datapoint], "log": log}

    def result(self, log_id: str, value: Any) -> Any:
        """Post a verdict and return the answer."""
        return self.api.ok(
            "Evaluations_result",
            {"log_id": log_id, "evaluator_id": self.evaluator_id, "result": value},
            **self.path,
        )

    def set(self, status: str) -> Any:
        """Set the status and return the run."""
        return self.api.ok("Evaluations_updateStatus", {"status": status}, id=self.id)

    def get(self, **query: Any) -> Any:
        """Return the run."""
        return self.api.ok("Evaluations_get", id=self.id, **query)

    def mean(self) -> float | None:
        """Return the first aggregate."""
        value: float | None = self.get(evaluator_aggregates="true")["evaluator_aggregates"][0][
            "aggregate_value"
        ]
        return value

    @property
    def path(self) -> dict[str, Any]:
        """Return the path parameters of log and result."""
        return {"evaluation_id": self.id}


def make_evaluator(api: Api, return_type: str = "boolean", **fields: Any) -> Any:
    """Create an external evaluator."""
    return api.ok(
        "Evaluators_create",
        {
            "name": "exact match",
            "description": "",
            "arguments_type": "target_required",
            "return_type": return_type,
            "type": "external",
            **fields,
        },
    )


def make_run(
    api: Api,
    *,
    project: str = "capitals",
    return_type: str = "boolean",
    rows: int = 3,
    status: str = "running",
) -> Run:
    """Create a run with all that it needs."""
    project_id = api.ok("Projects_create", {"name": project})["id"]
    dataset_id = api.ok(
        "Datasets_create", {"name": "rows", "description": "d"}, project_id=project_id
    )["id"]
    datapoints = api.ok(
        "Datasets_createDatapoint",
        [{"inputs": {"n": str(n)}, "target": {"answer": n}} for n in range(rows)],
        dataset_id=dataset_id,
    )
    config_id = api.ok("ModelConfigs_register", {"model": "m", "project_id": project_id})["config"][
        "id"
    ]
    evaluator_id = make_evaluator(api, return_type)["id"]
    created = api.ok(
        "Evaluations_create",
        {
            "config_id": config_id,
            "dataset_id": dataset_id,
            "evaluator_ids": [evaluator_id],
            "hl_generated": False,
        },
        project_id=project_id,
    )
    run = Run(
        api=api,
        id=created["id"],
        evaluatee_id=created["evaluatees"][0]["id"],
        project_id=project_id,
        dataset_id=dataset_id,
        config_id=config_id,
        evaluator_id=evaluator_id,
        datapoint_ids=tuple(each["id"] for each in datapoints),
    )
    if status != "pending":
        run.set(status)
    return run


def run_body(run: Run, **changes: Any) -> dict[str, Any]:
    """Return what creates a run over the objects of `run`; "left out" leaves a field out."""
    body = {
        "config_id": run.config_id,
        "dataset_id": run.dataset_id,
        "evaluator_ids": [run.evaluator_id],
        "hl_generated": False,
        **changes,
    }
    return {key: value for key, value in body.items() if value != "left out"}


def make_run_with(api: Api, run: Run) -> Any:
    """Return a second run over the same objects, with its aggregates."""
    created = api.ok("Evaluations_create", run_body(run), project_id=run.project_id)
    return api.ok("Evaluations_get", id=created["id"], evaluator_aggregates="true")
