"""From records to the API: create every object again, and translate the references.

The server makes all ids; no operation of the API accepts one. So a ledger maps old ids to new ids.
With a ledger in a file, an interrupted import continues. It repeats requests without a response
under the idempotency keys of the ledger, so that the server creates nothing twice.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from evrun._base.headers import IDEMPOTENCY_KEY
from evrun.errors import EvrunError, InvalidRequestError, UnprocessableEntityError
from evrun.transfer.datapoints import Rows
from evrun.transfer.logs import Logs
from evrun.transfer.records import FORMAT, KINDS, LOG_FIELDS, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evrun import Evrun
    from evrun.results import Evaluator
    from evrun.transfer.ledger import Ledger

_SHOWN = 20  # omitted records in the notes; the others are only counted
_LEFT_OUT = {
    "evaluator": "evaluators",
    "log": "logs",
    "result": "results",
    "orphan": "parents that are not in the file: their logs have none now",
}

_EVALUATOR = ("name", "description", "arguments_type", "return_type", "type")
_NEEDED = {
    "export": (),
    "project": ("id", "name"),
    "config": ("id", "project_id", "config"),
    "evaluator": ("id",),
    "dataset": ("id", "name"),
    "datapoint": ("id", "dataset_id"),
    "session": ("id",),
    "log": ("id", "run_id", "datapoint_id"),
    "result": ("id", "run_id", "log_id", "evaluator_id"),
    "run": ("id", "project_id", "config_id", "dataset_id", "evaluator_ids", "status"),
    "end": (),
}
"""The columns that a record of each kind must have. Every export has them."""
_OUTSIDE = ("external", "human")
_CONFIG_ONLY = {"id", "type", "tool_configs"}
"""Fields of a config that no request accepts. `tool_configs` (deprecated) repeats the tools."""
_RETURNED = ("boolean", "number")


class Import:
    """An import of records into the server of `client`.

    - `source`: each call yields all records again.
    - `called`, `target`: names of the source and of the server, for errors.
    - `advanced`: called with the number of finished records and the total.
    """

    def __init__(
        self,
        client: Evrun,
        source: Callable[[], Iterator[Record]],
        ledger: Ledger,
        *,
        project: str | None = None,
        called: str = "The file",
        target: str = "",
        advanced: Callable[[int, int], object] = lambda _done, _all: None,
    ) -> None:
        self._client = client
        self._source = source
        self._ledger = ledger
        self._project_name = project
        self._called = called
        self._target = target
        self._advanced = advanced
        self._rows = Rows(client, ledger)
        self._logs = Logs(client, ledger)
        self._known: list[Evaluator] | None = None
        self.total = 0
        """The number of records, after the check."""
        self.counts: Counter[str] = Counter()
        """The number of created objects of each kind."""
        self.left_out: Counter[str] = Counter()
        """The number of records that could not be imported, by reason."""
        self.notes: list[str] = []
        """Sentences about records that were changed or omitted."""
        self.runs: list[str] = []
        """The new ids of the runs."""

    def run(self) -> None:
        """Import everything.

        Raises `InvalidRequestError` before it sends anything if the file is incomplete.
        """
        with self._ledger.together():
            self._check()
        for record in self._source():
            self._prepare(record)
        self._rows.flush()
        while self._log_what_is_ready():
            pass
        for record in self._source():
            if record["kind"] == "result":
                self._result(record)
        for record in self._source():
            if record["kind"] == "run":
                self._finish(record)
        # From the ledger, so that a continued import also reports earlier omissions.
        for kind, what in _LEFT_OUT.items():
            if count := self._ledger.count(kind, new=""):
                self.left_out[what] = count

    def _check(self) -> None:
        """Compare the file with its last record, and note which logs it has."""
        counts: Counter[str] = Counter()
        last: Record = {"kind": "nothing"}
        for number, record in enumerate(self._source()):
            last = record
            kind = record.get("kind")
            if number == 0:
                self._check_start(record)
                continue
            if kind not in KINDS:
                raise InvalidRequestError(
                    f"{self._called}, record {number + 1}: this evrun does not know the kind "
                    f"{kind!r}. Export it again, or upgrade: pip install -U evrun"
                )
            missing = [name for name in _NEEDED[kind] if name not in record]
            if missing:
                raise InvalidRequestError(
                    f"{self._called}, record {number + 1}: the {kind} has no {missing[0]}. "
                    "Was the file edited? Export it again."
                )
            if kind == "log":
                self._ledger.put("present", record["id"], "")
            counts[kind] += 1
        counts.pop("end", None)
        if last["kind"] != "end" or last.get("counts", {}) != dict(counts):
            raise InvalidRequestError(
                f"{self._called} is incomplete: its last record must count the others. "
                "Export it again."
            )
        self.total = counts.total()

    def _check_start(self, record: Record) -> None:
        if record.get("kind") != "export" or not isinstance(record.get("format"), int):
            raise InvalidRequestError(
                f"{self._called} does not begin as a file of `evrun export`. "
                "Name a file that it wrote."
            )
        if record["format"] > FORMAT:
            raise InvalidRequestError(
                f"{self._called} was written by a newer evrun ({record.get('version')}). "
                "Upgrade: pip install -U evrun"
            )
        mark = f"{record.get('id')} {record.get('created_at')}"
        if self._first("file", mark) != mark:
            raise InvalidRequestError(
                f"{self._ledger.path} keeps the ids of an import of another file than "
                f"{self._called}. Delete it to begin anew, or name another file with --ids."
            )
        target = self._first("target", self._target)
        if target != self._target:
            raise InvalidRequestError(
                f"{self._ledger.path} keeps the ids of an import into {target}, and this one goes "
                f"to {self._target}. Delete it to begin anew, or name another file with --ids."
            )

    def _first(self, kind: str, mark: str) -> str | None:
        """Return the mark with which the ledger began: this one, if it is new."""
        self._ledger.put(kind, "", mark)
        return self._ledger.get(kind, "")

    def _prepare(self, record: Record) -> None:
        """Create the object of a record other than a log or a result."""
        if record["kind"] == "datapoint":
            if self._rows.add(record):
                self._count("datapoint")
            return
        makers = {
            "project": self._project,
            "config": self._config,
            "evaluator": self._evaluator,
            "dataset": self._dataset,
            "session": self._session,
            "run": self._run,
        }
        make = makers.get(record["kind"])
        if make is None or self._ledger.get(record["kind"], record["id"]) is not None:
            return
        if record["kind"] == "evaluator" and record.get("return_type") not in _RETURNED:
            self._leave_out("evaluator", record, "The API accepts only a boolean or a number.")
            return
        self._rows.flush()
        self._ledger.put(record["kind"], record["id"], make(record))
        self._count(record["kind"])

    def _count(self, kind: str) -> None:
        self.counts[kind] += 1
        self._advanced(self.counts.total(), self.total)

    def _keyed(self, kind: str, old: str) -> Evrun:
        """Return a client for one POST, with the idempotency key of the new object."""
        key = self._ledger.key(kind, old)
        return self._client.with_options(extra_headers={IDEMPOTENCY_KEY: key})

    def _project(self, record: Record) -> str:
        name = self._project_name or record["name"]
        for project in self._client.projects.iter_all(filter=name):
            if project.name == name:
                return project.id
        return self._keyed("project", f"{record['id']} {name}").projects.create(name=name).id

    def _config(self, record: Record) -> str:
        settings = {
            name: value
            for name, value in record["config"].items()
            if name not in _CONFIG_ONLY and value is not None
        }
        if "tools" in settings:
            # The config contains the definition of another server's shared tool.
            settings["tools"] = [
                {name: value for name, value in tool.items() if name != "id"}
                for tool in settings["tools"]
            ]
        project_id = self._new("project", record["project_id"])
        client = self._keyed("config", record["id"])
        return client.model_configs.register({**settings, "project_id": project_id}).config_id

    def _evaluator(self, record: Record) -> str:
        wanted = {name: record.get(name, "") for name in _EVALUATOR}
        if wanted["type"] not in _OUTSIDE:
            self.notes.append(
                f"The evaluator {wanted['name']!r} was of type {wanted['type']} and is external "
                "now: its verdicts come from the file."
            )
            wanted["type"] = "external"
        if self._known is None:
            self._known = list(self._client.evaluators.list())
        for each in self._known:
            same = all(getattr(each, name) == value for name, value in wanted.items())
            # Use each only once: a run may have two evaluators that differ only in their ids.
            if same and not self._ledger.count("evaluator", each.id):
                return each.id
        return self._keyed("evaluator", record["id"]).evaluators.create(**wanted).id

    def _dataset(self, record: Record) -> str:
        # A dataset without a project goes to the file's first project.
        project_id = self._only_project(record.get("project_id"))
        client = self._keyed("dataset", record["id"])
        return client.datasets.create(
            project_id, name=record["name"], description=record.get("description", "")
        ).id

    def _session(self, record: Record) -> str:
        # The first log that names a reference creates or finds its session.
        reference = record.get("reference_id")
        if reference is not None:
            return f"@{reference}"
        return self._keyed("session", record["id"]).sessions.create().id

    def _run(self, record: Record) -> str:
        run = self._keyed("run", record["id"]).evaluations.create(
            project_id=self._new("project", record["project_id"]),
            config_id=self._new("config", record["config_id"]),
            dataset_id=self._new("dataset", record["dataset_id"]),
            evaluator_ids=[
                new for each in record["evaluator_ids"] if (new := self._new("evaluator", each))
            ],
        )
        return run.id

    def _log_what_is_ready(self) -> bool:
        """Log all records whose parents are logged. Return whether more can follow."""
        waiting, done = 0, 0
        for record in self._source():
            if record["kind"] != "log" or self._is_done("log", record):
                continue
            parent = record.get("parent_id")
            if self._logs.holds(parent):
                self._send_logs()
            if parent is not None and self._is_to_come(parent):
                waiting += 1
                continue
            done += 1
            run_id = self._running(record["run_id"])
            if not self._logs.takes(run_id):
                self._send_logs()
            datapoint_id = self._new("datapoint", record["datapoint_id"])
            self._logs.add(run_id, record, datapoint_id, self._body(record))
        self._send_logs()
        if waiting and not done:
            raise InvalidRequestError(
                f"{self._called}: the parents of {waiting} logs form a circle. "
                "Was it edited? Export it again."
            )
        return waiting > 0

    def _is_done(self, kind: str, record: Record) -> bool:
        return self._logs.holds(record["id"]) or self._ledger.get(kind, record["id"]) is not None

    def _is_to_come(self, log_id: str) -> bool:
        present = self._ledger.get("present", log_id) is not None
        return present and self._ledger.get("log", log_id) is None

    def _send_logs(self) -> None:
        """Send the queued logs. Raises the first failure, after the others are in the ledger."""
        failed: EvrunError | None = None
        for record, done in self._logs.send():
            if done.log is not None:
                self._ledger.put("log", record["id"], done.log.id)
                self._count("log")
            elif isinstance(done.error, UnprocessableEntityError | InvalidRequestError):
                reason = str(done.error).replace(f"items[{done.index}].", "")
                self._leave_out("log", record, reason)
            else:
                failed = failed or done.error
        if failed is not None:
            raise failed

    def _body(self, record: Record) -> dict[str, Any]:
        body = {name: record[name] for name in LOG_FIELDS if name in record}
        session = body.pop("session_id", None)
        if session is not None:
            new = self._new("session", session)
            name = "session_reference_id" if new.startswith("@") else "session_id"
            body[name] = new.removeprefix("@")
        parent = body.pop("parent_id", None)
        if parent is not None:
            new_parent = self._ledger.get("log", parent)
            if new_parent:
                body["parent_id"] = new_parent
            else:
                self._ledger.put("orphan", record["id"], "")
        if "feedback" in body:
            body["feedback"] = [
                {name: value for name, value in each.items() if name not in {"id", "data_id"}}
                for each in body["feedback"]
            ]
        return body

    def _result(self, record: Record) -> None:
        if self._is_done("result", record):
            return
        log_id = self._ledger.get("log", record["log_id"])
        value = record.get("value")
        if not log_id:
            self._leave_out("result", record, "Its log was not imported.")
            return
        if not self._new("evaluator", record["evaluator_id"]):
            self._leave_out("result", record, "Its evaluator was not imported.")
            return
        if not isinstance(value, bool | int | float | None):
            self._leave_out("result", record, "The API accepts only a boolean or a number.")
            return
        try:
            made = self._keyed("result", record["id"]).evaluations.result(
                self._running(record["run_id"]),
                log_id=log_id,
                evaluator_id=self._new("evaluator", record["evaluator_id"]),
                result=value,
                error=None if value is not None else record.get("error"),
            )
        except (UnprocessableEntityError, InvalidRequestError) as error:
            self._leave_out("result", record, str(error))
            return
        self._ledger.put("result", record["id"], made.id)
        self._count("result")

    def _leave_out(self, kind: str, record: Record, reason: str) -> None:
        self._ledger.put(kind, record["id"], "")
        if len(self.notes) < _SHOWN:
            self.notes.append(f"Left out: the {kind} {record['id']}. {reason}")

    def _running(self, old: str) -> str:
        """Start a run if necessary, and return its new id."""
        run_id = self._new("run", old)
        if self._ledger.get("running", old) is None:
            self._client.evaluations.update_status(run_id, status="running")
            self._ledger.put("running", old, run_id)
        return run_id

    def _finish(self, record: Record) -> None:
        """Set the original status of a run."""
        run_id = self._new("run", record["id"])
        self.runs.append(run_id)
        status = record["status"]
        if status in {"running", "completed"}:
            self._running(record["id"])
        if status in {"completed", "cancelled"}:
            self._client.evaluations.update_status(run_id, status=status)

    def _only_project(self, old: str | None) -> str:
        found = self._ledger.get("project", old) if old else None
        return found or self._new("project", self._first_project())

    def _first_project(self) -> str:
        found: str = next(each["id"] for each in self._source() if each["kind"] == "project")
        return found

    def _new(self, kind: str, old: str) -> str:
        found = self._ledger.get(kind, old)
        if found is None:
            raise InvalidRequestError(
                f"{self._called} refers to the {kind} {old} before its record. "
                "Was it edited? Export it again."
            )
        return found
