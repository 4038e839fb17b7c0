"""Many logs in one request: each is done, refused or repeated by itself, as a single call would be.

All of them share a transaction, so that one commit makes them durable. A refused one is undone to
its savepoint. A log under an idempotency key has the fingerprint of the single call that says the
same, so that either finds what the other did.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import pydantic_core
from attrs import frozen
from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy.exc import StatementError

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


@frozen
class Item:
    """One of many logs."""

    log: EvaluationLogItem
    attempt: Attempt | None
    """None without a key."""


def read(run_id: str, body: Envelope) -> list[Item | Refusal]:
    """Return the logs, or why they cannot be read, in order."""
    return [_read(run_id, log) for log in body.logs]


def log_each(
    scope: Scope, items: list[Item | Refusal], record: Callable[[EvaluationLogItem], Json]
) -> list[Json]:
    """Return an `EvaluationLogOutcome` for each item. `record` stores one. Raises no refusal.

    Other failures undo everything.
    """
    attempts = [each.attempt for each in items if isinstance(each, Item) and each.attempt]
    memory = Memory(scope, attempts)
    results = []
    for item in items:
        try:
            results.append(_outcome(scope, memory, item, record))
        except (NotFound, Conflict, Rule, Invalid) as refusal:
            results.append(_refused(refusal))
        except StatementError as error:
            # A column type may refuse a value; SQLAlchemy wraps what it raises.
            if not isinstance(error.orig, Rule):
                raise
            results.append(_refused(error.orig))
    memory.keep()
    return results


def _outcome(
    scope: Scope,
    memory: Memory,
    item: Item | Refusal,
    record: Callable[[EvaluationLogItem], Json],
) -> Json:
    if isinstance(item, Refusal):
        raise item
    earlier = None if item.attempt is None else memory.recall(item.attempt)
    if earlier is not None:
        log = pydantic_core.from_json(earlier.content)
        return {"status": earlier.status, "log": log, "replayed": True}
    with scope.connection.begin_nested():
        log = record(item.log)
    if item.attempt is not None:
        memory.note(item.attempt, Answer(201, pydantic_core.to_json(log)))
    return {"status": 201, "log": log, "replayed": False}


def _read(run_id: str, log: Any) -> Item | Refusal:
    try:
        item = parse_body(_ITEM, json.dumps(log).encode())
        return Item(item, _attempt(run_id, item, log))
    except (Invalid, Rule) as refusal:
        return refusal


def _attempt(run_id: str, item: EvaluationLogItem, log: Json) -> Attempt | None:
    """Return the attempt that the single call would be."""
    if item.idempotency_key is None:
        return None
    body = {name: value for name, value in log.items() if name not in _BESIDE}
    query = "" if item.evaluatee_id is None else f"evaluatee_id={item.evaluatee_id}"
    return read_attempt(
        [item.idempotency_key],
        "POST",
        f"/evaluations/{run_id}/log?{query}",
        json.dumps(body).encode(),
        place=("body", "idempotency_key"),
    )


def _refused(refusal: Refusal) -> Json:
    if isinstance(refusal, Invalid | Rule):
        return {"status": 422, "detail": refusal.details}
    return {"status": 409 if isinstance(refusal, Conflict) else 404, "detail": str(refusal)}
