"""Put the ids of real objects into generated requests, so that they reach what answers 2xx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _support.served import make_evaluator, make_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemathesis.specs.openapi.schemas import OpenApiSchema

    from _support.served import Api


class World:
    """One run with all that it stands on, for every kind of id that a request can carry."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._run = run = make_run(api)
        log = run.log(reference_id="seeded", session_reference_id="seeded", output="seeded")
        entry = run.get(evaluator_aggregates="true")["evaluator_aggregates"][0]
        self._known: dict[str, str] = {
            "evrun_": run.id,
            "ev_": run.id,
            "pr_": run.project_id,
            "evts_": run.dataset_id,
            "config_": run.config_id,
            "evfn_": run.evaluator_id,
            "data_": log["id"],
            "sesh_": log["session_id"],
            "evv_": run.evaluatee_id,
        }
        self._version: str = entry["evaluator_version_id"]
        # What an operation uses up or closes is made anew for each request.
        self._fresh: dict[tuple[str, str], Callable[[], str]] = {
            ("Evaluators_delete", "id"): self._spare_evaluator,
            ("Evaluations_updateStatus", "id"): self._pending_run,
            ("Evaluators_update", "id"): self._spare_evaluator,
        }
        self._named: dict[str, str] = {
            "datapoint_id": run.datapoint_ids[0],
            "source_datapoint_id": run.datapoint_ids[0],
            "parent_id": log["id"],
            "reference_id": "seeded",
        }

    def _spare_evaluator(self) -> str:
        spare: str = make_evaluator(self._api, name="spare")["id"]
        return spare

    def _pending_run(self) -> str:
        run = self._run
        body = {
            "config_id": run.config_id,
            "dataset_id": run.dataset_id,
            "evaluator_ids": [run.evaluator_id],
            "hl_generated": False,
        }
        created: str = self._api.ok("Evaluations_create", body, project_id=run.project_id)["id"]
        return created

    def parameters(self, operation_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return path or query parameters with real ids."""
        seeded = {name: self._value(operation_id, name, each) for name, each in given.items()}
        if operation_id == "Datapoints_get":
            seeded["id"] = self._named["datapoint_id"]
        return seeded

    def body(self, operation_id: str, given: Any) -> Any:
        """Return a body with real ids, and without what contradicts the run by being random."""
        seeded = self._value(operation_id, "", given)
        if operation_id == "Evaluations_log" and isinstance(seeded.get("log"), dict):
            for name in ("project", "config", "session_id", "parent_reference_id"):
                seeded["log"].pop(name, None)
            seeded["log"].pop("reference_id", None)
        if operation_id == "Evaluations_create":
            seeded["hl_generated"] = False  # anything else asks the server to generate
        if operation_id == "Evaluations_result":
            # The seeded evaluator's verdicts are booleans; anything else becomes an error.
            verdict = isinstance(seeded.get("result"), bool)
            seeded |= {"error": None} if verdict else {"result": None, "error": "could not judge"}
        return seeded

    def _value(self, operation_id: str, name: str, value: Any) -> Any:
        if (operation_id, name) in self._fresh:
            return self._fresh[operation_id, name]()
        if isinstance(value, dict):
            return {key: self._value(operation_id, key, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._value(operation_id, name, each) for each in value]
        return self._text(name, value) if isinstance(value, str) else value

    def _text(self, name: str, value: str) -> str:
        if name == "evaluator_version_ids":
            return self._version
        prefix = value[: value.find("_") + 1]
        return self._named.get(name) or self._known.get(prefix, value)


def seed(schema: OpenApiSchema, world: World) -> None:
    """Have every generated request carry the world's ids."""

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: Any) -> Any:
        return path_parameters and world.parameters(_id(context), path_parameters)

    @schema.hook
    def map_query(context: Any, query: Any) -> Any:
        return query and world.parameters(_id(context), query)

    @schema.hook
    def map_body(context: Any, body: Any) -> Any:
        return world.body(_id(context), body) if isinstance(body, dict | list) else body


def _id(context: Any) -> str:
    operation_id: str = context.operation.definition.raw["operationId"]
    return operation_id
