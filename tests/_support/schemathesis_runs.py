"""Run schemathesis over the contract and keep what came of it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import schemathesis
from attrs import Factory, define
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from _support.served import contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest
    from schemathesis import Case, HookContext
    from schemathesis.engine.recorder import Interaction, ScenarioRecorder
    from schemathesis.schemas import BaseSchema
    from schemathesis.specs.openapi.schemas import OpenApiSchema

PHASES = ("examples", "coverage", "fuzzing", "stateful")

# What may answer a request that fits the contract: a made-up id names nothing (404), a rule of the
# business is broken (422), or the request contradicts what is stored (409). `CHECKS` turns none
# off; schemathesis knows by itself when 401 and 405 are right.
ACCEPTED = ["2xx", 404, 409, 422]

_KEY = "Idempotency-Key"
_VALID_KEY = re.compile(r"[!-~]{1,255}")


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Have each request pass through `use_a_new_key` on its way, over any transport."""
    # Not in `case.headers`: schemathesis would no longer know what it left out or made invalid.
    kwargs["auth"] = use_a_new_key


def use_a_new_key(request: PreparedRequest) -> PreparedRequest:
    """Make a valid idempotency key one of its own.

    schemathesis sends the same few again and again: a POST would be refused as another request
    under that key, or given the answer of before, whatever it is made to show.
    """
    given = request.headers.get(_KEY)
    if isinstance(given, str) and _VALID_KEY.fullmatch(given):
        new = uuid4().hex
        request.headers[_KEY] = given[: 255 - len(new)] + new
    return request


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


def run(schema: BaseSchema, observe: Callable[[str, Interaction], None]) -> Outcome:
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
    for nodes in recorder.checks.values():
        for node in nodes:
            outcome.checks[node.name] += 1
            if node.failure_info is not None:
                failure = node.failure_info.failure
                sample = node.failure_info.code_sample
                outcome.failures.append(f"{where}: {node.name}: {failure.message}\n{sample}")
    for case_id, interaction in recorder.interactions.items():
        response = interaction.response
        if response is None:
            continue
        # Keys within a body are schemathesis' own, and may well be equal.
        said = response.content or b""
        reused = b"idempotency_key_reused" in said and b'["header","Idempotency-Key"]' in said
        if reused or "idempotent-replayed" in response.headers:
            outcome.failures.append(f"{where}: an idempotency key came twice")
        raw = recorder.cases[case_id].value.operation.definition.raw
        if str(response.status_code) in raw["responses"]:  # 405 is HTTP's own
            observe(raw["operationId"], interaction)
        if 200 <= response.status_code < 300:
            outcome.successes[raw["operationId"]] += 1
