"""Record logs of a run: each is checked by itself, and the rows of many are written at once.

Logging again for a datapoint keeps both; the newest counts.
"""

from __future__ import annotations

import itertools
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update

from evrun.server.db.ids import new_id
from evrun.server.db.tables import (
    COUNTS,
    datapoints,
    dataset_versions,
    log_feedback,
    logs,
    projects,
)
from evrun.server.errors import InvalidValueError, NotFoundError
from evrun.server.store import configs, feedback, searching, sessions
from evrun.server.store.bulk_insert import insert_rows
from evrun.server.store.logs import GIVEN_BACK, PAYLOAD, by_reference, in_utc
from evrun.server.store.runs import evaluatee_of, require_running, run_row
from evrun.server.store.scope import now, parts, utc_text
from evrun.server.store.texts import require_indexable, require_storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evrun.server.errors import Location
    from evrun.server.store.scope import Json, Scope

_TEXTS = (
    "reference_id",
    "session_reference_id",
    "parent_id",
    "parent_reference_id",
    "source",
)
_NAMED_BY_THE_RUN = {"project_id", "project", "config_id", "config", "source_datapoint_id"}

# Made once: every log asks these.
_NO_LONGER_NEWEST = (
    update(logs)
    .where(
        logs.c.run_id == bindparam("run"),
        logs.c.evaluatee_id == bindparam("evaluatee"),
        logs.c.datapoint_id.in_(bindparam("datapoints", expanding=True)),
        COUNTS,
    )
    .values(newest=False)
)


_DATAPOINTS = select(datapoints.c.id, datapoints.c.dataset_id, datapoints.c.position).where(
    datapoints.c.id.in_(bindparam("wanted", expanding=True))
)
_SIZE = select(dataset_versions.c.datapoint_count).where(
    dataset_versions.c.id == bindparam("version")
)


class Recorder:
    """Records logs of one run, in one transaction. What stays the same is looked up once."""

    def __init__(self, scope: Scope, run_id: str, datapoint_ids: Iterable[str] = ()) -> None:
        """Look up the run, and which of `datapoint_ids` are its own. Raises `NotFoundError`."""
        self._scope = scope
        # Plain dictionaries: looking into a row is slow, and every log does.
        self._run = dict(run_row(scope, run_id, lock="stand"))
        self._evaluatees: dict[str | None, Json] = {}
        self._sessions: dict[tuple[str | None, str | None], str | None] = {}
        asked = {"version": self._run["dataset_version_id"]}
        self._size = scope.connection.execute(_SIZE, asked).scalar_one()
        self._datapoints: set[str] = set()
        for part in parts(sorted(set(datapoint_ids))):
            self._datapoints.update(self._evaluated(part))
        self._at = now()
        # What is still to be written; of each place the row that counts.
        self._logs: list[Json] = []
        self._feedback: list[Json] = []
        self._newest: dict[tuple[str, str], Json] = {}

    def record(self, *, datapoint_id: str, evaluatee_id: str | None, log: Json) -> Json:
        """Record a log if the run is running. Return a `CreateLogResponse`.

        Its row is there after `flush`. A refused one leaves nothing behind: checks come first.
        """
        run = self._run
        require_running(run)
        if datapoint_id not in self._datapoints:
            self._datapoints.update(self._evaluated([datapoint_id]))
        if datapoint_id not in self._datapoints:
            raise _foreign(run, datapoint_id)
        evaluatee = self._evaluatee(evaluatee_id)
        _check_consistency(self._scope, run, evaluatee, datapoint_id, log)
        require_storable({name: log[name] for name in _TEXTS if name in log}, ("log",))
        log_id, at = new_id("data_"), self._at
        created_at = _instant(log, ("log",), at)
        parent_id, parent_reference = self._parent(log)
        body = _kept(log_id, log, parent_reference, at)
        labels = feedback.rows(log_id, body.get("feedback", ()))
        for name in ("reference_id", "session_reference_id"):
            require_indexable(name, log.get(name))
        row = {
            "id": log_id,
            "organisation_id": self._scope.organisation_id,
            "project_id": run["project_id"],
            "config_id": evaluatee["config_id"],
            "run_id": run["id"],
            "evaluatee_id": evaluatee["id"],
            "datapoint_id": datapoint_id,
            "newest": True,
            "session_id": self._session(log),
            "parent_id": parent_id,
            "reference_id": log.get("reference_id"),
            "source": log.get("source"),
            "body": body,
            "searchable": searching.payload_of(body),
            "searchable_metadata": searching.metadata_of(body),
            "created_at": created_at,
            "updated_at": at,
        }
        place = (evaluatee["id"], datapoint_id)
        if place in self._newest:
            self._newest[place]["newest"] = False
        self._newest[place] = row
        self._logs.append(row)
        self._feedback.extend(labels)
        return {"id": log_id, "project_id": run["project_id"], "session_id": row["session_id"]}

    def flush(self) -> None:
        """Write what was recorded."""
        if not self._logs:
            return
        connection = self._scope.connection
        for evaluatee, places in itertools.groupby(sorted(self._newest), key=itemgetter(0)):
            for part in parts([datapoint for _, datapoint in places]):
                asked = {"run": self._run["id"], "evaluatee": evaluatee, "datapoints": part}
                connection.execute(_NO_LONGER_NEWEST, asked)
        insert_rows(connection, logs, self._logs)
        insert_rows(connection, log_feedback, self._feedback)
        self._logs, self._feedback, self._newest = [], [], {}

    def _evaluated(self, wanted: Sequence[str]) -> list[str]:
        """Return which of these datapoints the run evaluates."""
        # Not by a join: to databases it may seem cheaper to read the whole dataset.
        found = self._scope.connection.execute(_DATAPOINTS, {"wanted": wanted})
        dataset_id, size = self._run["dataset_id"], self._size
        return [each for each, of, position in found if of == dataset_id and position < size]

    def _evaluatee(self, evaluatee_id: str | None) -> Json:
        found = self._evaluatees.get(evaluatee_id)
        if found is None:
            found = dict(evaluatee_of(self._scope, self._run["id"], evaluatee_id))
            self._evaluatees[evaluatee_id] = found
        return found

    def _session(self, log: Json) -> str | None:
        named = (log.get("session_id"), log.get("session_reference_id"))
        if named not in self._sessions:
            session_id, reference_id = named
            self._sessions[named] = sessions.resolve(
                self._scope, session_id=session_id, reference_id=reference_id
            )
        return self._sessions[named]

    def _parent(self, log: Json) -> tuple[str | None, str | None]:
        """Return the parent's id, and the reference that named it if one did.

        Upstream lets `parent_id` carry a reference too.
        """
        parent, reference = log.get("parent_id"), log.get("parent_reference_id")
        if parent is None and reference is None:
            return None, None
        if parent is not None and reference is not None:
            raise InvalidValueError(
                ("log", "parent_reference_id"),
                "Send parent_id or parent_reference_id, not both.",
                type="contradiction",
            )
        self.flush()  # the parent may be among those
        if parent is not None:
            owned = select(logs.c.id).where(
                logs.c.id == parent, logs.c.organisation_id == self._scope.organisation_id
            )
            if self._scope.row(owned) is not None:
                return parent, None
        named = str(parent or reference)
        found = by_reference(self._scope, named)
        if found is None:
            raise NotFoundError(
                f"There is no log {named!r} to be the parent, by id or reference_id."
            )
        return found, named


def _foreign(run: Json, datapoint_id: str) -> InvalidValueError:
    return InvalidValueError(
        ("datapoint_id",),
        f"{datapoint_id} is not in the dataset of {run['id']}, {run['dataset_id']} as it was "
        "when the run was created.",
        type="not_in_dataset",
    )


def _check_consistency(
    scope: Scope, run: Json, evaluatee: Json, datapoint_id: str, log: Json
) -> None:
    """Refuse what names another project, config or datapoint than the run's."""
    if _NAMED_BY_THE_RUN.isdisjoint(log):
        return
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
            raise InvalidValueError(
                ("log", "config"),
                f"It differs from the run's config, {config['id']}. Leave config out.",
                type="contradiction",
            )


def _other(field: str, sent: str, value: str) -> InvalidValueError:
    return InvalidValueError(
        ("log", field),
        f"It is {sent!r}, and the run's is {value!r}. Leave {field} out.",
        type="contradiction",
    )


def _kept(log_id: str, log: Json, parent_reference: str | None, at: datetime) -> Json:
    """Return what is stored of a log's fields."""
    body = {field: value for field, value in log.items() if field in GIVEN_BACK}
    body.pop("parent_reference_id", None)
    if parent_reference is not None:
        body["parent_reference_id"] = parent_reference
    if "feedback" in body:
        body["feedback"] = [
            _labelled(log_id, each, place, at) for place, each in feedback.places(body["feedback"])
        ]
    if log.get("save") is False:
        body = {field: value for field, value in body.items() if field not in PAYLOAD}
        body["save"] = False
    return body


def _labelled(log_id: str, given: Json, place: Location, at: datetime) -> Json:
    """Return what is stored of one piece of feedback, which is at `place` in the body."""
    feedback.require_own(given, place)
    require_storable({name: given[name] for name in ("type", "value")}, place)
    created_at = utc_text(_instant(given, place, at))
    return {**given, "id": new_id("ann_"), "data_id": log_id, "created_at": created_at}


def _instant(given: Json, place: Location, now: datetime) -> datetime:
    """Return the `created_at` of what the caller sent at `place` in UTC, else `now`."""
    if "created_at" not in given:
        return now
    return in_utc(datetime.fromisoformat(given["created_at"]), (*place, "created_at"))
