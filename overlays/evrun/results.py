"""What calls return: plain frozen values with typed ids, and None where nothing was said.

A class names the fields of its response schema, one to one (a rule test holds them together), and
says with its types what `structure` makes of them. Generated models do not show here: their `UNSET`
never crosses this line. Chat messages, configs and payloads stay JSON (`dict`), the form in which
model providers' own clients take them.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - `structure` resolves the annotations
from typing import Any, ClassVar, Generic, Literal, TypeVar

from attrs import frozen

from evrun._base.display import Displayed, table_of
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

RunStatus = Literal["pending", "running", "completed", "cancelled"]
ArgumentsType = Literal["target_free", "target_required"]
ReturnType = Literal["boolean", "number", "select", "multi_select", "text"]
EvaluatorKind = Literal["python", "llm", "human", "external"]
"""What the contract knows of these; a result can hold others, from a server that knows more."""


@frozen(kw_only=True, repr=False)
class CreatedLog(Displayed):
    """A log that now stands in a run."""

    id: LogId
    project_id: ProjectId
    session_id: SessionId | None
    """Set only if the log named a session, by `session_id` or `session_reference_id`."""


@frozen(kw_only=True, repr=False)
class LogOutcome(Displayed):
    """What became of one of many logs: `log` and `replayed` if it is stored, else `detail`."""

    status: int
    log: CreatedLog | None
    replayed: bool | None
    """Whether it was stored before, under the same key."""
    detail: Any
    """A sentence, or the places that are wrong, as the single call would have said it."""


@frozen(kw_only=True, repr=False)
class LogOutcomes(Displayed):
    """The answer to one request with many logs."""

    results: tuple[LogOutcome, ...]
    """In the order of the request."""


@frozen(kw_only=True, repr=False)
class Page(Displayed, Generic[T]):
    """One page of a list."""

    records: tuple[T, ...]
    page: int
    size: int
    total: int
    """Records on all pages together."""
    next_cursor: str | None
    """The `cursor` of what comes after this page; None if nothing does, or from a server without
    cursors."""

    def _repr_html_(self) -> str:
        """Return a table of the records, for a notebook."""
        return table_of(f"Page {self.page}: {len(self.records)} of {self.total}", self.records)


@frozen(kw_only=True, repr=False)
class Dataset(Displayed):
    """A dataset."""

    id: DatasetId
    project_id: ProjectId | Literal[""]
    """Empty for a dataset that belongs to no project."""
    name: str
    description: str | None
    datapoint_count: int
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True, repr=False)
class Datapoint(Displayed):
    """A row of a dataset."""

    id: DatapointId
    dataset_id: DatasetId | None
    inputs: dict[str, str] | None
    messages: tuple[Json, ...] | None
    target: Json | None


@frozen(kw_only=True, repr=False)
class Evaluator(Displayed):
    """An evaluator."""

    id: EvaluatorId
    name: str
    description: str
    arguments_type: ArgumentsType | str
    return_type: ReturnType | str
    type: EvaluatorKind | str
    """`external` and `human` are judged outside; `python` and `llm` run on the vendor's side."""
    code: str | None
    model_config: Json | None
    logging_project: Project | None
    created_at: datetime
    updated_at: datetime


@frozen(kw_only=True, repr=False)
class EvaluatorAggregate(Displayed):
    """The mean of an evaluator's values for one config, true counted as 1.

    It is over all datapoints of the run only if `errors` and `missing` are 0.
    """

    model_config_id: ConfigId
    evaluator_id: EvaluatorId
    evaluator_version_id: EvaluatorVersionId
    aggregate_value: float | None
    """None while there is no value."""
    n: int | None
    """Verdicts with a value, over which the mean is. None from a server that does not count them,
    as are `errors` and `missing`."""
    errors: int | None
    """Verdicts that are errors."""
    missing: int | None
    """Datapoints without a verdict, logged or not: `n + errors + missing` are all of the run's."""


@frozen(kw_only=True, repr=False)
class ProjectConfig(Displayed):
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


@frozen(kw_only=True, repr=False)
class Project(Displayed):
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


@frozen(kw_only=True, repr=False)
class Evaluatee(Displayed):
    """What a run evaluates: one version of one config (an extension of evrun's server)."""

    id: EvaluateeId
    config_id: ConfigId


@frozen(kw_only=True, repr=False)
class EvaluationRun(Displayed):
    """An evaluation run."""

    _columns: ClassVar = ("id", "status", "dataset", "evaluators", "created_at")

    id: EvaluationRunId
    status: RunStatus | str
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


@frozen(kw_only=True, repr=False)
class Log(Displayed):
    """A log: one output, and everything that is known about how it came about."""

    _columns: ClassVar = ("id", "inputs", "output", "error", "created_at")

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


@frozen(kw_only=True, repr=False)
class EvaluationResult(Displayed):
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


@frozen(kw_only=True, repr=False)
class EvaluatedDatapoint(Displayed):
    """A row of a run's dataset, its newest log and the verdicts on it."""

    datapoint: Datapoint
    log: Log | None
    """None until the row was logged."""
    evaluation_results: tuple[EvaluationResult, ...]


@frozen(kw_only=True, repr=False)
class CreatedSession(Displayed):
    """A new session."""

    id: SessionId


@frozen(kw_only=True, repr=False)
class SessionProject(Displayed):
    """A project that has logs in a session."""

    id: ProjectId
    name: str
    type: str


@frozen(kw_only=True, repr=False)
class Session(Displayed):
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
