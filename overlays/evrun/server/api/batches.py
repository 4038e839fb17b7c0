"""Many logs at once. Each is stored, rejected or replayed as if it were the only one.

They share a transaction, so that one commit makes them durable. They come in one request, or in
single calls that waited together. A log under an idempotency key has the same fingerprint in both,
so that each recognises what the other has stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pydantic_core
from attrs import frozen
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from evrun.server.api.idempotency import read_attempt
from evrun.server.api.json_body import canonical
from evrun.server.api.validation import as_sent, parse_inner, parse_outer_body, with_defaults
from evrun.server.errors import (
    ApiError,
    ConflictError,
    InvalidValueError,
    NotFoundError,
    UnprocessableError,
)
from evrun.server.store.idempotency import Answer, Memory
from evrun.server.store.recording import Recorder
from evrun_models import EvaluationLogItem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from evrun.server.api.json_body import JsonBody
    from evrun.server.store.idempotency import Attempt
    from evrun.server.store.scope import Json, Scope
    from evrun_models import CreateEvaluationLogRequest

MOST_LOGS = 1000
"""Logs in one request, by the contract."""

_ITEM = TypeAdapter(EvaluationLogItem)
_OUTSIDE_BODY = ("evaluatee_id", "idempotency_key")  # in a single call


class LogsBody(BaseModel):
    """A `CreateEvaluationLogsRequest` whose logs are not validated yet."""

    model_config = ConfigDict(extra="forbid")

    logs: Annotated[list[Any], Field(min_length=1, max_length=MOST_LOGS)]


@frozen
class ManyLogs:
    """The body of a request for many logs."""

    logs: list[Any]
    is_finite: bool
    """Whether every number in it is."""


@frozen
class Item:
    """One of many logs."""

    datapoint_id: str
    evaluatee_id: str | None
    log: Json
    """The fields that were sent, and the defaults of a config in it."""
    attempt: Attempt | None
    """None without a key."""

    @classmethod
    def of(
        cls,
        evaluatee_id: str | None,
        body: CreateEvaluationLogRequest | EvaluationLogItem,
        attempt: Attempt | None,
    ) -> Self:
        """Return one log of a request."""
        log = as_sent(body.log)
        if body.log.config is not None:
            log["config"] = with_defaults(body.log.config)
        return cls(body.datapoint_id, evaluatee_id, log, attempt)


def parse(adapter: TypeAdapter[LogsBody], body: JsonBody) -> ManyLogs:
    """Return the body. Raises `UnprocessableError`."""
    return ManyLogs(parse_outer_body(adapter, body).logs, body.is_finite)


def read(run_id: str, body: ManyLogs) -> list[Item | ApiError]:
    """Return the logs of one request in order, or the error of each invalid one."""
    return [_read(run_id, log, is_finite=body.is_finite) for log in body.logs]


def log_each(
    scope: Scope, run_id: str, items: Sequence[Item | ApiError]
) -> list[Answer | ApiError]:
    """Return for each item the answer of a single call.

    Raises `NotFoundError` for the run. Other failures undo everything.
    """
    given = [item for item in items if isinstance(item, Item)]
    recorder = Recorder(scope, run_id, [item.datapoint_id for item in given])
    memory = Memory(scope, [item.attempt for item in given if item.attempt is not None])
    answers = [_log(memory, recorder, item) if isinstance(item, Item) else item for item in items]
    recorder.flush()
    memory.keep()
    return answers


def outcome(answer: Answer | ApiError) -> Json:
    """Return the answer as an `EvaluationLogOutcome`."""
    if isinstance(answer, Answer):
        log = pydantic_core.from_json(answer.content)
        return {"status": answer.status, "log": log, "replayed": answer.replayed}
    if isinstance(answer, InvalidValueError):
        part = "path" if answer.loc == ("evaluation_id",) else "body"
        answer = answer.located((part, *answer.loc))
    return {"status": answer.status, "detail": answer.detail}


def _log(memory: Memory, recorder: Recorder, item: Item) -> Answer | ApiError:
    try:
        earlier = None if item.attempt is None else memory.recall(item.attempt)
        if earlier is not None:
            return earlier
        log = recorder.record(
            datapoint_id=item.datapoint_id, evaluatee_id=item.evaluatee_id, log=item.log
        )
    except (NotFoundError, ConflictError, UnprocessableError) as error:
        return error
    answer = Answer(201, pydantic_core.to_json(log))
    if item.attempt is not None:
        memory.note(item.attempt, answer)
    return answer


def _read(run_id: str, log: Any, *, is_finite: bool) -> Item | ApiError:
    try:
        item = parse_inner(_ITEM, log, is_finite=is_finite)
        return Item.of(item.evaluatee_id, item, _attempt(run_id, item, log))
    except UnprocessableError as error:
        return error


def _attempt(run_id: str, item: EvaluationLogItem, log: Json) -> Attempt | None:
    """Return the attempt of the same log in a single call."""
    if item.idempotency_key is None:
        return None
    body = {name: value for name, value in log.items() if name not in _OUTSIDE_BODY}
    query = "" if item.evaluatee_id is None else f"evaluatee_id={item.evaluatee_id}"
    target = f"/evaluations/{run_id}/log?{query}"
    return read_attempt([item.idempotency_key], target, canonical(body))
