"""Logs: one output for one datapoint of a run. Logging again keeps both; the newest counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from evrun.server.identifiers import new_id
from evrun.server.refusals import NotFound, Rule
from evrun.server.schema import (
    COUNTS,
    datapoints,
    dataset_versions,
    logs,
    model_configs,
    projects,
)
from evrun.server.store import configs, feedback, results, searching, sessions
from evrun.server.store.configs import config_response
from evrun.server.store.runs import evaluatee_of, require_running, run_row
from evrun.server.store.scope import Json, Scope, now, parts, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import RowMapping

PAYLOAD = (
    "inputs",
    "messages",
    "output",
    "output_message",
    "judgment",
    "error",
    "stdout",
    "provider_request",
    "provider_response",
)
"""What `save: false` keeps out of the database: everything that the model or its tools read or
wrote. Numbers, ids, `source`, `metadata` and `feedback` stay."""

_GIVEN_BACK = (
    "session_reference_id",
    "parent_reference_id",
    "metadata",
    "environment",
    "feedback",
    "duration",
    "prompt_tokens",
    "output_tokens",
    "prompt_cost",
    "output_cost",
    *PAYLOAD,
)


def record(
    scope: Scope, run_id: str, *, datapoint_id: str, evaluatee_id: str | None, log: Json
) -> Json:
    """Record a log of a running run. Return a `CreateLogResponse`."""
    return Recorder(scope, run_id).record(
        datapoint_id=datapoint_id, evaluatee_id=evaluatee_id, log=log
    )


class Recorder:
    """Records logs of one run, in one transaction: what stays the same is looked up once."""

    def __init__(self, scope: Scope, run_id: str, datapoint_ids: Iterable[str] = ()) -> None:
        """Look up the run, and which of `datapoint_ids` are its own. Raises `NotFound`."""
        self._scope = scope
        self._run = run_row(scope, run_id, lock="stand")
        self._evaluatees: dict[str | None, RowMapping] = {}
        self._datapoints: set[str] = set()
        for part in parts(sorted(set(datapoint_ids))):
            self._datapoints.update(_belonging(scope, self._run, part))

    def record(self, *, datapoint_id: str, evaluatee_id: str | None, log: Json) -> Json:
        """Record a log if the run is running. Return a `CreateLogResponse`."""
        require_running(self._run)
        if datapoint_id not in self._datapoints:
            self._datapoints.update(_belonging(self._scope, self._run, [datapoint_id]))
        if datapoint_id not in self._datapoints:
            raise _foreign(self._run, datapoint_id)
        evaluatee = self._evaluatees.get(evaluatee_id)
        if evaluatee is None:
            evaluatee = evaluatee_of(self._scope, self._run["id"], evaluatee_id)
            self._evaluatees[evaluatee_id] = evaluatee
        return _record(self._scope, self._run, evaluatee, datapoint_id, log)


def _record(
    scope: Scope, run: RowMapping, evaluatee: RowMapping, datapoint_id: str, log: Json
) -> Json:
    _check_consistency(scope, run, evaluatee, datapoint_id, log)
    parent_id, parent_reference = _parent(scope, log)
    session_id = sessions.resolve(
        scope,
        session_id=log.get("session_id"),
        reference_id=log.get("session_reference_id"),
    )
    log_id = new_id("data_")
    at = now()
    body = _kept(log_id, {**log, "parent_reference_id": parent_reference}, at)
    scope.connection.execute(
        update(logs)
        .where(
            logs.c.run_id == run["id"],
            logs.c.evaluatee_id == evaluatee["id"],
            logs.c.datapoint_id == datapoint_id,
            COUNTS,
        )
        .values(newest=False)
    )
    scope.connection.execute(
        insert(logs).values(
            id=log_id,
            organisation_id=scope.organisation_id,
            project_id=run["project_id"],
            config_id=evaluatee["config_id"],
            run_id=run["id"],
            evaluatee_id=evaluatee["id"],
            datapoint_id=datapoint_id,
            newest=True,
            session_id=session_id,
            parent_id=parent_id,
            reference_id=log.get("reference_id"),
            source=log.get("source"),
            body=body,
            searchable=searching.payload_of(body),
            searchable_metadata=searching.metadata_of(body),
            created_at=_instant(log, ("body", "log", "created_at"), at),
            updated_at=at,
        )
    )
    feedback.index(scope, log_id, body.get("feedback", ()))
    return {"id": log_id, "project_id": run["project_id"], "session_id": session_id}


def get(scope: Scope, log_id: str) -> Json:
    """Return a log with the verdicts on it."""
    return present(scope, [scope.owned(logs, log_id, "log")])[0]


def change(scope: Scope, log_id: str, body: Json) -> Json:
    """Change the output, error or duration of a log."""
    row = scope.owned(logs, log_id, "log", lock="change")
    kept = dict(row["body"])
    for field, value in body.items():
        if kept.get("save", True) or field not in PAYLOAD:
            kept[field] = value
    scope.connection.execute(
        update(logs)
        .where(logs.c.id == log_id)
        .values(body=kept, searchable=searching.payload_of(kept), updated_at=now())
    )
    return get(scope, log_id)


def change_by_reference(scope: Scope, reference_id: str, body: Json) -> Json:
    """Like `change`, for the newest log that was sent with this reference."""
    found = _by_reference(scope, reference_id)
    if found is None:
        raise NotFound(f"There is no log with the reference_id {reference_id!r}.")
    return change(scope, found, body)


def present(scope: Scope, rows: Sequence[RowMapping]) -> list[Json]:
    """Return `LogResponse`s."""
    if not rows:
        return []
    verdicts = results.of_logs(scope, [row["id"] for row in rows])
    config_rows = scope.rows(
        select(model_configs).where(model_configs.c.id.in_({row["config_id"] for row in rows}))
    )
    config_of = {row["id"]: config_response(row["id"], row["body"]) for row in config_rows}
    project_rows = scope.rows(
        select(projects.c.id, projects.c.name).where(
            projects.c.id.in_({row["project_id"] for row in rows})
        )
    )
    names = {row["id"]: row["name"] for row in project_rows}
    return [
        _log_response(row, names[row["project_id"]], config_of[row["config_id"]], verdicts)
        for row in rows
    ]


def _log_response(
    row: RowMapping, project: str, config: Json, verdicts: dict[str, list[Json]]
) -> Json:
    body = row["body"]
    tokens = (body.get("prompt_tokens"), body.get("output_tokens"))
    return {
        **{field: body.get(field) for field in _GIVEN_BACK},
        "id": row["id"],
        "project": project,
        "project_id": row["project_id"],
        "session_id": row["session_id"],
        "parent_id": row["parent_id"],
        "source": row["source"],
        "save": body.get("save", True),
        "source_datapoint_id": row["datapoint_id"],
        "reference_id": row["reference_id"],
        "config_id": row["config_id"],
        "config": config,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "user": None,
        "provider_latency": None,
        "tokens": None if None in tokens else sum(tokens),
        "raw_output": None,
        "finish_reason": None,
        "tools": None,
        "tool_choice": None,
        "evaluation_results": verdicts[row["id"]],
        "observability_status": "completed",
        "batch_ids": None,
    }


def _belonging(scope: Scope, run: RowMapping, wanted: Sequence[str]) -> list[str]:
    """Return which of these datapoints the run evaluates."""
    rows = scope.rows(
        select(datapoints.c.id)
        .join(dataset_versions, dataset_versions.c.dataset_id == datapoints.c.dataset_id)
        .where(
            datapoints.c.id.in_(wanted),
            dataset_versions.c.id == run["dataset_version_id"],
            datapoints.c.position < dataset_versions.c.datapoint_count,
        )
    )
    return [row["id"] for row in rows]


def _foreign(run: RowMapping, datapoint_id: str) -> Rule:
    return Rule(
        ("body", "datapoint_id"),
        f"{datapoint_id} is not in the dataset of {run['id']}, {run['dataset_id']} as it was "
        "when the run was created.",
        type="not_in_dataset",
    )


def _check_consistency(
    scope: Scope, run: RowMapping, evaluatee: RowMapping, datapoint_id: str, log: Json
) -> None:
    """Refuse what names another project, config or datapoint than the run's."""
    expected = {
        "project_id": run["project_id"],
        "config_id": evaluatee["config_id"],
        "source_datapoint_id": datapoint_id,
    }
    for field, value in expected.items():
        if log.get(field, value) != value:
            raise _other(field, log[field], value)
    if "project" in log:
        name = scope.owned(projects, run["project_id"], "project")["name"]
        if log["project"] != name:
            raise _other("project", log["project"], name)
    if "config" in log:
        config = configs.owned(scope, evaluatee["config_id"])
        if log["config"].get("type", "model") != "model" or not configs.same_settings(
            config, log["config"]
        ):
            raise Rule(
                ("body", "log", "config"),
                f"It differs from the run's config, {config['id']}. Leave config out.",
                type="contradiction",
            )


def _other(field: str, sent: str, value: str) -> Rule:
    return Rule(
        ("body", "log", field),
        f"It is {sent!r}, and the run's is {value!r}. Leave {field} out.",
        type="contradiction",
    )


def _parent(scope: Scope, log: Json) -> tuple[str | None, str | None]:
    """Return the parent's id, and the reference that named it if one did.

    Upstream lets `parent_id` carry a reference too.
    """
    parent, reference = log.get("parent_id"), log.get("parent_reference_id")
    if parent is not None and reference is not None:
        raise Rule(
            ("body", "log", "parent_reference_id"),
            "Send parent_id or parent_reference_id, not both.",
            type="contradiction",
        )
    if parent is not None:
        owned = select(logs.c.id).where(
            logs.c.id == parent, logs.c.organisation_id == scope.organisation_id
        )
        if scope.row(owned) is not None:
            return parent, None
        reference = parent
    if reference is None:
        return None, None
    found = _by_reference(scope, reference)
    if found is None:
        raise NotFound(f"There is no log {reference!r} to be the parent, by id or reference_id.")
    return found, reference


def _by_reference(scope: Scope, reference_id: str) -> str | None:
    found = scope.row(
        select(logs.c.id)
        .where(
            logs.c.organisation_id == scope.organisation_id,
            logs.c.reference_id == reference_id,
        )
        .order_by(logs.c.id.desc())
        .limit(1)
    )
    return found["id"] if found else None


def _kept(log_id: str, log: Json, at: datetime) -> Json:
    """Return what is stored of a log's fields."""
    body = {field: log[field] for field in _GIVEN_BACK if log.get(field) is not None}
    if "feedback" in body:
        given = body["feedback"] if isinstance(body["feedback"], list) else [body["feedback"]]
        body["feedback"] = [
            {
                **each,
                "id": new_id("ann_"),
                "data_id": log_id,
                "created_at": utc_text(_instant(each, ("body", "log", "feedback"), at)),
            }
            for each in given
        ]
    if log.get("save") is False:
        body = {field: value for field, value in body.items() if field not in PAYLOAD}
        body["save"] = False
    return body


def _instant(given: Json, loc: tuple[str, ...], now: datetime) -> datetime:
    """Return the caller's `created_at` in UTC, else `now`."""
    return (
        in_utc(datetime.fromisoformat(given["created_at"]), loc) if "created_at" in given else now
    )


def in_utc(instant: datetime, loc: tuple[str, ...]) -> datetime:
    """Return an instant in UTC; without an offset it is that already. Raises `Rule`."""
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise Rule(loc, "The time is out of range.", type="datetime_range") from None
