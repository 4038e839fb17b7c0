"""What a log is made of, as mappings: an editor completes the keys, a type-checker knows them.

    item: LogItem = {"datapoint_id": row.id, "log": {"output": "Paris", "duration": 0.8}}

A rule test holds them against the contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - who reads the annotations needs them
from datetime import datetime  # noqa: TC003 - likewise
from typing import Any, NotRequired, Protocol, TypedDict

from evrun.ids import (  # noqa: TC001 - likewise
    ConfigId,
    DatapointId,
    EvaluateeId,
    PlainStr,
    ProjectId,
    SessionId,
)

__all__ = ["LogFields", "LogItem", "UntypedFields"]


class LogFields(TypedDict, total=False):
    """A log. Every field is optional; None and left out mean the same."""

    project: str | None
    """Name of the project to log to; it is created if there is none."""
    project_id: ProjectId | PlainStr | None
    """The project to log to. Within a run it can only be the run's own."""
    session_id: SessionId | PlainStr | None
    """An existing session to put the log into. Goes instead of `session_reference_id`."""
    session_reference_id: str | None
    """Your own name for a session: found if it exists, created otherwise. Goes instead of
    `session_id`."""
    parent_id: str | None
    """The log above this one in a trace: its id, or the reference you gave it."""
    parent_reference_id: str | None
    """The log above this one in a trace, by the reference you gave it. Goes instead of
    `parent_id`."""
    inputs: Mapping[str, Any] | None
    """Values that filled the placeholders of the prompt template."""
    source: str | None
    """Where in your systems the model was called."""
    metadata: Mapping[str, Any] | None
    """Anything else worth keeping, as JSON."""
    save: bool | None
    """Whether to keep the payloads. With false, inputs, messages and outputs are not stored."""
    source_datapoint_id: DatapointId | PlainStr | None
    """The datapoint that the log was generated for."""
    reference_id: str | None
    """Your own name for the log, to find it again or to hang others below it."""
    messages: Sequence[Mapping[str, Any]] | None
    """Chat messages that the model was given."""
    output: str | None
    """What was generated. None for a failure, or for a parent that is completed later."""
    judgment: bool | float | str | list[str] | None
    """A verdict that came with the log itself."""
    config_id: ConfigId | PlainStr | None
    """The config that produced the output. Within a run it can only be the run's own."""
    config: Mapping[str, Any] | None
    """The config that produced the output, in full. Goes instead of `config_id`."""
    environment: str | None
    """Name of the environment in which the output was generated."""
    feedback: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
    """What people said about the output."""
    created_at: datetime | str | None
    """When the output was generated; now if left out."""
    error: str | None
    """Why there is no output."""
    stdout: str | None
    """What was printed on the way."""
    duration: float | None
    """How long it took, in seconds."""
    output_message: Mapping[str, Any] | None
    """The whole message that the provider answered with."""
    prompt_tokens: int | None
    """Tokens in the prompt."""
    output_tokens: int | None
    """Tokens in the output."""
    prompt_cost: float | None
    """Price of the prompt's tokens, in US dollars."""
    output_cost: float | None
    """Price of the output's tokens, in US dollars."""
    provider_request: Mapping[str, Any] | None
    """The request to the provider, unchanged."""
    provider_response: Mapping[str, Any] | None
    """The provider's answer, unchanged."""


class _Untyped:
    """What only `Any` fits."""


class UntypedFields(Protocol):
    """A mapping of which a type-checker does not know the values: `dict[str, Any]`.

    JSON from elsewhere passes, and is checked when it arrives. A mapping that is written out in the
    program has values of known types, and does not match: its keys are checked.
    """

    def __getitem__(self, key: str, /) -> _Untyped: ...


class LogItem(TypedDict):
    """One of many logs, and the datapoint that it is for."""

    datapoint_id: DatapointId | PlainStr
    """The row of the run's dataset that the output was generated for."""
    log: LogFields | UntypedFields
    evaluatee_id: NotRequired[EvaluateeId | PlainStr | None]
    """Which of the run's evaluatees produced the output; the first if left out."""
    idempotency_key: NotRequired[str | None]
    """Stands for this log in every attempt to send it. One is made if it is left out."""
