"""Many logs in one request: each is done, refused or repeated by itself, as a single call would be.

All of them share a transaction, so that one commit makes them durable. A refused one is undone to
its savepoint. A log under an idempotency key has the fingerprint of the single call that says the
same, so that either finds what the other did.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pydantic_core
from pydantic import BaseModel, Field, TypeAdapter

from evrun.server.idempotency import Answer, Memory, read_attempt
from evrun.server.refusals import Conflict, NotFound, Refusal, Rule
from evrun.server.requests import Invalid, parse_body
from evrun_models import EvaluationLogItem

if TYPE_CHECKING:
    from collections.abc import Callable

    from evrun.server.idempotency import Attempt
    from evrun.server.store.scope import Json, Scope

MOST_LOGS = 1000
"""Logs in one request, as the contract says."""

_ITEM = TypeAdapter(EvaluationLogItem)
_BESIDE = ("evaluatee_id", "idempotency_key")  # a single call says these outside its body


class Envelope(BaseModel):
    """The body: a `CreateEvaluationLogsRequest` whose logs have not been looked into."""

    logs: Annotated[list[Any], Field(min_length=1, max_length=MOST_LOGS)]


def log_each(
    scope: Scope, run_id: str, logs: list[Any], record: Callable[[EvaluationLogItem], Json]
) -> list[Json]:
    """Return an `EvaluationLogOutcome` for each of `logs`. `record` stores one. Raises no refusal.

    Other failures undo everything.
    """
    items = [_read(run_id, log) for log in logs]
    memory = Memory(scope, (attempt for _, attempt, _ in items if attempt is not None))

    def outcome(item: EvaluationLogItem, attempt: Attempt | None) -> Json:
        earlier = None if attempt is None else memory.recall(attempt)
        if earlier is not None:
            log = pydantic_core.from_json(earlier.content)
            return {"status": earlier.status, "log": log, "replayed": True}
        with scope.connection.begin_nested():
            log = record(item)
        if attempt is not None:
            memory.note(attempt, Answer(201, pydantic_core.to_json(log)))
        return {"status": 201, "log": log, "replayed": False}

    results = []
    for item, attempt, refusal in items:
        try:
            results.append(_refused(refusal) if item is None else outcome(item, attempt))
        except (NotFound, Conflict, Rule) as error:
            results.append(_refused(error))
    memory.keep()
    return results


def _read(run_id: str, log: Any) -> tuple[EvaluationLogItem | None, Attempt | None, Refusal | None]:
    """Return a log and its attempt, or why it cannot be read."""
    try:
        item = parse_body(_ITEM, json.dumps(log).encode())
        if item.idempotency_key is None:
            return item, None, None
        body = {name: value for name, value in log.items() if name not in _BESIDE}
        query = "" if item.evaluatee_id is None else f"evaluatee_id={item.evaluatee_id}"
        attempt = read_attempt(
            [item.idempotency_key],
            "POST",
            f"/evaluations/{run_id}/log?{query}",
            json.dumps(body).encode(),
            place=("body", "idempotency_key"),
        )
    except (Invalid, Rule) as refusal:
        return None, None, refusal
    return item, attempt, None


def _refused(refusal: Refusal | None) -> Json:
    if isinstance(refusal, Invalid | Rule):
        return {"status": 422, "detail": refusal.details}
    return {"status": 409 if isinstance(refusal, Conflict) else 404, "detail": str(refusal)}
