"""Run schemathesis over the contract and keep what came of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import schemathesis
from attrs import Factory, define
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from served import contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemathesis.engine.recorder import Interaction, ScenarioRecorder
    from schemathesis.specs.openapi.schemas import OpenApiSchema

PHASES = ("examples", "coverage", "fuzzing", "stateful")

# What may answer a request that fits the contract: a made-up id names nothing (404), a rule of the
# business is broken (422), or the request contradicts what is stored (409). `CHECKS` turns none
# off; schemathesis knows by itself when 401 and 405 are right.
ACCEPTED = ["2xx", 404, 409, 422]


@define
class Outcome:
    """What a run of schemathesis came to."""

    failures: list[str] = Factory(list)
    checks: Counter[str] = Factory(Counter)
    """How often each check was made."""
    phases: Counter[str] = Factory(Counter)
    """Requests in each phase."""
    successes: Counter[str] = Factory(Counter)
    """2xx by operationId."""


def load(
    *,
    key: str,
    examples: int,
    phases: tuple[str, ...] = PHASES,
    positive: bool = False,
    **where: Any,
) -> OpenApiSchema:
    """Return the contract as schemathesis sees it. `where` is `app` or `base_url`."""
    generation: dict[str, Any] = {"max-examples": examples, "deterministic": True}
    if positive:
        generation["mode"] = "positive"
    config = SchemathesisConfig.from_dict(
        {
            "continue-on-failure": True,
            "cache": {"enabled": False},  # each run stands on its own
            "headers": {"X-API-KEY": key},
            "base-url": where.get("base_url", "http://127.0.0.1/v4"),
            "generation": generation,
            "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}},
            "phases": {phase: {"enabled": phase in phases} for phase in PHASES},
        }
    )
    schema = schemathesis.openapi.from_dict(contract(), config=config)
    schema.app = where.get("app")
    return schema


def run(schema: OpenApiSchema, observe: Callable[[str, Interaction], None]) -> Outcome:
    """Run the enabled phases; `observe` gets every documented answer."""
    outcome = Outcome()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            outcome.phases[event.phase.value] += len(event.recorder.interactions)
            _collect(event.recorder, f"{event.phase.value}: {event.label}", outcome, observe)
        elif isinstance(event, events.NonFatalError):
            outcome.failures.append(f"{event.label}: {event.info.format()}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    return outcome


def _collect(
    recorder: ScenarioRecorder,
    where: str,
    outcome: Outcome,
    observe: Callable[[str, Interaction], None],
) -> None:
    # A repeated answer tells of what was made earlier, and may have been deleted since.
    repeated = any(
        each.response is not None and "idempotent-replayed" in each.response.headers
        for each in recorder.interactions.values()
    )
    for nodes in recorder.checks.values():
        for node in nodes:
            outcome.checks[node.name] += 1
            if repeated and node.name == "ensure_resource_availability":
                continue
            if node.failure_info is not None:
                failure = node.failure_info.failure
                sample = node.failure_info.code_sample
                outcome.failures.append(f"{where}: {node.name}: {failure.message}\n{sample}")
    for case_id, interaction in recorder.interactions.items():
        response = interaction.response
        if response is None:
            continue
        raw = recorder.cases[case_id].value.operation.definition.raw
        if str(response.status_code) in raw["responses"]:  # 405 is HTTP's own
            observe(raw["operationId"], interaction)
        if 200 <= response.status_code < 300:
            outcome.successes[raw["operationId"]] += 1
