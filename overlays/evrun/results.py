"""What calls return: plain frozen values with typed ids, and None where nothing was said.

A class names the fields of its response schema, one to one (a rule test holds them together), and
says with its types what `structure` makes of them. Generated models do not show here: their `UNSET`
never crosses this line. Chat messages, configs and payloads stay JSON (`dict`), the form in which
model providers' own clients take them.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - `structure` resolves the annotations
from typing import Any, Generic, Literal, TypeVar

from attrs import frozen

from evrun.ids import (
    ConfigId,
    DatapointId,
    DatasetId,
    DirectoryId,
    EvaluateeId,
    EvaluationRunId,
    EvaluatorId,
    EvaluatorVersionId,
    LogId,
    ProjectId,
    SessionId,
    TeamId,
)

Json = dict[str, Any]
T = TypeVar("T")


@frozen(kw_only=True)
class CreatedLog:
    """A log that now stands in a run."""

    id: LogId
    project_id: ProjectId
    session_id: SessionId | None
    """Set only if the log named a session, by `session_id` or `session_reference_id`."""


@frozen(kw_only=True)
class LogOutcome:
    """What became of one of many logs: `log` and `replayed` if it is stored, else `detail`."""

    status: int
    log: CreatedLog | None
    replayed: bool | None
    """Whether it was stored before, under the same key."""
    detail: Any
    """A sentence, or the places that are wrong, as the single call would have said it."""


@frozen(kw_only=True)
class LogOutcomes:
    """The answer to one request with many logs."""

    results: tuple[LogOutcome, ...]
    """In the order of the request."""


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a list."""

    records: tuple[T, ...]
    page: int
    size: int
    total: int
    """Records on all pages together."""
    next_cursor: str | None
    """The `cursor` of what comes after this page; None if nothing does, or from a server without
    cursors."""


@frozen(kw_only=True)
class Dataset:
    """A dataset."""

    id: DatasetId
    project_id: ProjectId | Literal[""]
    """Empty for a dataset that belongs to no project."""
    name: str
    description: str | None
    datapoint_count: int
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class Datapoint:
    """A row of a dataset."""

    id: DatapointId
    dataset_id: DatasetId | None
    inputs: dict[str, str] | None
    messages: tuple[Json, ...] | None
    target: Json | None


@frozen(kw_only=True)
class Evaluator:
    """An evaluator."""

    id: EvaluatorId
    name: str
    description: str
    arguments_type: str
    """`target_free` or `target_required`."""
    return_type: str
    """`boolean`, `number`, `select`, `multi_select` or `text`."""
    type: str
    """`external` and `human` are judged outside; `python` and `llm` run on the vendor's side."""
    code: str | None
    model_config: Json | None
    logging_project: Project | None
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class EvaluatorAggregate:
    """The mean of an evaluator's values for one config, true counted as 1."""

    model_config_id: ConfigId
    evaluator_id: EvaluatorId
    evaluator_version_id: EvaluatorVersionId
    aggregate_value: float | None
    """None while there is no value."""


@frozen(kw_only=True)
class ProjectConfig:
    """A config within a project."""

    project_id: ProjectId
    project_name: str
    created_at: datetime
    updated_at: datetime
    last_used: datetime
    num_datapoints: int | None
    evaluation_aggregates: tuple[EvaluatorAggregate, ...] | None
    config: Json

    @property
    def config_id(self) -> ConfigId:
        """The config's id, which creating a run takes."""
        return ConfigId.parse(self.config.get("id"), "config.id")


@frozen(kw_only=True)
class Project:
    """A project."""

    id: ProjectId
    name: str
    active_config: ProjectConfig | None
    users: tuple[Json, ...]
    data_count: int
    """Logs in the project."""
    feedback_types: tuple[Json, ...]
    team_id: TeamId
    config_type: str | None
    active_evaluators: tuple[Evaluator, ...] | None
    directory_id: DirectoryId | None
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True)
class Evaluatee:
    """What a run evaluates: one version of one config (an extension of evrun's server)."""

    id: EvaluateeId
    config_id: ConfigId


@frozen(kw_only=True)
class EvaluationRun:
    """An evaluation run."""

    id: EvaluationRunId
    status: str
    """`pending`, `running`, `completed` or `cancelled`; a server may know more."""
    config: Json
    created_at: datetime
    updated_at: datetime
    evaluators: tuple[Evaluator, ...]
    dataset: Dataset
    dataset_version_id: str
    dataset_snapshot: Dataset | None
    evaluator_aggregates: tuple[EvaluatorAggregate, ...] | None
    """Only if the call asked for them."""
    evaluatees: tuple[Evaluatee, ...] | None
    """None from a server that does not name them."""


@frozen(kw_only=True)
class Log:
    """A log: one output, and everything that is known about how it came about."""

    id: LogId
    project: str | None
    project_id: ProjectId | None
    session_id: SessionId | None
    session_reference_id: str | None
    parent_id: str | None
    parent_reference_id: str | None
    inputs: Json | None
    source: str | None
    metadata: Json | None
    save: bool | None
    source_datapoint_id: str | None
    reference_id: str | None
    messages: tuple[Json, ...] | None
    output: str | None
    judgment: bool | float | list[str] | str | None
    config_id: ConfigId | None
    config: Json
    environment: str | None
    feedback: tuple[Json, ...] | None
    created_at: datetime | None
    error: str | None
    stdout: str | None
    duration: float | None
    """Seconds."""
    output_message: Json | None
    prompt_tokens: int | None
    output_tokens: int | None
    prompt_cost: float | None
    """US dollars, as is `output_cost`."""
    output_cost: float | None
    provider_request: Json | None
    provider_response: Json | None
    user: str | None
    provider_latency: float | None
    """Seconds."""
    tokens: int | None
    raw_output: str | None
    finish_reason: str | None
    tools: tuple[Json, ...] | None
    tool_choice: Json | str | None
    evaluation_results: tuple[EvaluationResult, ...]
    observability_status: str
    updated_at: datetime
    batch_ids: tuple[str, ...] | None


@frozen(kw_only=True)
class EvaluationResult:
    """An evaluator's verdict on one log."""

    id: str
    evaluator_id: EvaluatorId
    evaluator_version_id: EvaluatorVersionId
    evaluation_id: EvaluationRunId | None
    log_id: LogId
    log: Log | None
    version_id: str | None
    version: Any
    value: bool | float | str | list[str] | None
    error: str | None
    updated_at: datetime
    created_at: datetime
    evaluator_log: Log | None


@frozen(kw_only=True)
class EvaluatedDatapoint:
    """A row of a run's dataset, its newest log and the verdicts on it."""

    datapoint: Datapoint
    log: Log | None
    """None until the row was logged."""
    evaluation_results: tuple[EvaluationResult, ...]


@frozen(kw_only=True)
class CreatedSession:
    """A new session."""

    id: SessionId


@frozen(kw_only=True)
class SessionProject:
    """A project that has logs in a session."""

    id: ProjectId
    name: str
    type: str


@frozen(kw_only=True)
class Session:
    """A session: logs that belong together."""

    id: SessionId
    reference_id: str | None
    projects: tuple[SessionProject, ...]
    datapoints_count: int
    """Logs in the session."""
    first_inputs: Json | None
    last_output: str | None
    created_at: datetime
    updated_at: datetime
