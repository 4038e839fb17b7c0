"""From records to the API: everything is made anew, and what refers to it refers to the new.

Ids are the server's to give: no operation of the API takes one. So a ledger keeps which new id each
old one got, references are translated by it, and with a ledger in a file an import that ended early
goes on where it ended.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from evrun.errors import InvalidRequestError, UnprocessableEntityError
from evrun.transfer.datapoints import Rows
from evrun.transfer.records import FORMAT, KINDS, LOG_FIELDS, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evrun import Evrun
    from evrun.results import Evaluator
    from evrun.transfer.ledger import Ledger

_SHOWN = 20  # things left out that are named; the rest is counted

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
"""Of a record, by its kind: what must be there. All that is exported has it."""
_OUTSIDE = ("external", "human")
_CONFIG_ONLY = {"id", "type", "tool_configs"}
"""Of a config in an answer: what no request takes. Tool configs repeat the tools, deprecated."""
_RETURNED = ("boolean", "number")


class Import:
    """An import of the records that `source` yields, each time anew, into what `client` reaches.

    Errors call the source as `called` says.
    """

    def __init__(
        self,
        client: Evrun,
        source: Callable[[], Iterator[Record]],
        ledger: Ledger,
        *,
        project: str | None = None,
        called: str = "The file",
    ) -> None:
        self._client = client
        self._source = source
        self._ledger = ledger
        self._project_name = project
        self._called = called
        self._rows = Rows(client, ledger)
        self._known: list[Evaluator] | None = None
        self.counts: Counter[str] = Counter()
        """How many of each kind were made."""
        self.left_out: Counter[str] = Counter()
        """How many could not be carried over, by reason."""
        self.notes: list[str] = []
        """What became another than it was."""
        self.runs: list[str] = []
        """The new ids of the runs."""

    def run(self) -> None:
        """Import everything.

        Raises `InvalidRequestError`, before anything is sent, unless the file is whole.
        """
        self._check()
        for record in self._source():
            self._prepare(record)
        self._rows.flush()
        while self._log_what_is_ready():
            pass
        for record in self._source():
            if record["kind"] == "run":
                self._finish(record)

    def _check(self) -> None:
        """Hold the file against its last record, and note which logs it has."""
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
                    f"{self._called}, record {number + 1}: {kind!r} is no kind of record that this "
                    "evrun knows. Export it again, or upgrade: pip install -U evrun"
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
                f"{self._called} is not whole: its last record must count the others. "
                "Export it again."
            )

    def _check_start(self, record: Record) -> None:
        if record.get("kind") != "export" or not isinstance(record.get("format"), int):
            raise InvalidRequestError(
                f"{self._called} does not begin as what `evrun export` writes. "
                "Name a file that it wrote."
            )
        if record["format"] > FORMAT:
            raise InvalidRequestError(
                f"{self._called} was written by a newer evrun ({record.get('version')}). "
                "Upgrade: pip install -U evrun"
            )
        mark = f"{record.get('id')} {record.get('created_at')}"
        if not self._ledger.put("file", "", mark) and self._ledger.get("file", "") != mark:
            raise InvalidRequestError(
                f"The ids are kept from the import of another file than {self._called}. "
                "Name another file with --ids, or the one that was imported."
            )

    def _prepare(self, record: Record) -> None:
        """Make what is no log and no result."""
        if record["kind"] == "datapoint":
            if self._rows.add(record):
                self.counts["datapoint"] += 1
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
            self._leave_out("evaluator", record, "A request carries a boolean or a number.")
            return
        self._rows.flush()
        self._ledger.put(record["kind"], record["id"], make(record))
        self.counts[record["kind"]] += 1

    def _project(self, record: Record) -> str:
        name = self._project_name or record["name"]
        for project in self._client.projects.iter_all(filter=name):
            if project.name == name:
                return project.id
        return self._client.projects.create(name=name).id

    def _config(self, record: Record) -> str:
        settings = {
            name: value
            for name, value in record["config"].items()
            if name not in _CONFIG_ONLY and value is not None
        }
        if "tools" in settings:
            # A tool that another server keeps for its organisation comes with what it says.
            settings["tools"] = [
                {name: value for name, value in tool.items() if name != "id"}
                for tool in settings["tools"]
            ]
        project_id = self._new("project", record["project_id"])
        registered = self._client.model_configs.register({**settings, "project_id": project_id})
        return registered.config_id

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
            # Once: a run may have two evaluators that differ in nothing but their ids.
            if same and self._ledger.put("taken", each.id, ""):
                return each.id
        made = self._client.evaluators.create(**wanted)
        self._ledger.put("taken", made.id, "")
        return made.id

    def _dataset(self, record: Record) -> str:
        # One that belonged to no project goes to the file's.
        project_id = self._only_project(record.get("project_id"))
        return self._client.datasets.create(
            project_id, name=record["name"], description=record.get("description", "")
        ).id

    def _session(self, record: Record) -> str:
        # One with a reference is made, or found, by the first log that names it.
        reference = record.get("reference_id")
        return f"@{reference}" if reference is not None else self._client.sessions.create().id

    def _run(self, record: Record) -> str:
        run = self._client.evaluations.create(
            project_id=self._new("project", record["project_id"]),
            config_id=self._new("config", record["config_id"]),
            dataset_id=self._new("dataset", record["dataset_id"]),
            evaluator_ids=[
                new for each in record["evaluator_ids"] if (new := self._new("evaluator", each))
            ],
        )
        return run.id

    def _log_what_is_ready(self) -> bool:
        """Log what waits for no parent. Return whether others wait for what was logged now."""
        waiting, done = 0, 0
        for record in self._source():
            kind = record["kind"]
            if kind not in {"log", "result"} or self._ledger.get(kind, record["id"]) is not None:
                continue
            before = record.get("parent_id") if kind == "log" else record["log_id"]
            if before is not None and self._is_to_come(before):
                waiting += 1
                continue
            done += 1
            if kind == "log":
                self._log(record)
            else:
                self._result(record)
        if waiting and not done:
            raise InvalidRequestError(
                f"{self._called}: {waiting} logs or results wait for one another in a circle. "
                "Was it edited? Export it again."
            )
        return waiting > 0

    def _is_to_come(self, log_id: str) -> bool:
        present = self._ledger.get("present", log_id) is not None
        return present and self._ledger.get("log", log_id) is None

    def _log(self, record: Record) -> None:
        run_id = self._running(record["run_id"])
        try:
            made = self._client.evaluations.log(
                run_id,
                datapoint_id=self._new("datapoint", record["datapoint_id"]),
                log=self._body(record),
            )
        except (UnprocessableEntityError, InvalidRequestError) as error:
            self._leave_out("log", record, str(error))
            return
        self._ledger.put("log", record["id"], made.id)
        self.counts["log"] += 1

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
                self.left_out["parents that are not in the file: their logs have none now"] += 1
        if "feedback" in body:
            body["feedback"] = [
                {name: value for name, value in each.items() if name not in {"id", "data_id"}}
                for each in body["feedback"]
            ]
        return body

    def _result(self, record: Record) -> None:
        log_id = self._ledger.get("log", record["log_id"])
        value = record.get("value")
        if not log_id:
            self._leave_out("result", record, "Its log is not there.")
            return
        if not self._new("evaluator", record["evaluator_id"]):
            self._leave_out("result", record, "Its evaluator is not there.")
            return
        if not isinstance(value, bool | int | float | None):
            self._leave_out("result", record, "A request carries a boolean or a number.")
            return
        try:
            made = self._client.evaluations.result(
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
        self.counts["result"] += 1

    def _leave_out(self, kind: str, record: Record, reason: str) -> None:
        self._ledger.put(kind, record["id"], "")
        self.left_out[f"{kind}s"] += 1
        if len(self.notes) < _SHOWN:
            self.notes.append(f"Left out: the {kind} {record['id']}. {reason}")

    def _running(self, old: str) -> str:
        """Return the new id of a run that takes logs."""
        run_id = self._new("run", old)
        if self._ledger.get("running", old) is None:
            self._client.evaluations.update_status(run_id, status="running")
            self._ledger.put("running", old, run_id)
        return run_id

    def _finish(self, record: Record) -> None:
        """Give a run the status that it had."""
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
                f"{self._called} names the {kind} {old} before it says what it is. "
                "Was it edited? Export it again."
            )
        return found
