"""From the API to records: a run, or all runs and datasets of a project, page by page."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from evrun._version import __version__
from evrun.errors import InvalidRequestError
from evrun.ids import EvaluationRunId, ProjectId, parse_id
from evrun.transfer.ledger import Ledger
from evrun.transfer.records import FORMAT, LOG_FIELDS, READ_ONLY_FIELDS, Record, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun import Evrun
    from evrun.results import Datapoint, Dataset, EvaluationResult, EvaluationRun, Log, Project

_PAGE = 100


class Export:
    """An export of one run or project. Iterate over `records` once.

    The export contains what the API shows: each datapoint with the newest log of the run's first
    evaluatee. A log that arrives meanwhile is included if its page has not been read yet.
    """

    def __init__(self, client: Evrun, subject: str) -> None:
        found = parse_id(subject, "subject")
        if not isinstance(found, EvaluationRunId | ProjectId):
            raise InvalidRequestError(
                f"{subject} is {found.noun}; name a run (evrun_…) or a project (pr_…).",
                parameter="subject",
            )
        self._client = client
        self._subject = found
        self.counts: Counter[str] = Counter()
        """The number of exported records of each kind."""
        self.superseded = 0
        """The number of the project's logs that no run shows any more."""

    def records(self) -> Iterator[Record]:
        """Yield the records in the order in which an import needs them."""
        with Ledger() as seen:
            self._seen = seen
            content = self._content()
            first = next(content)  # before the header: a missing subject writes nothing
            yield record(
                "export",
                id=self._subject,
                format=FORMAT,
                version=__version__,
                created_at=datetime.now(UTC),
            )
            for each in chain((first,), content):
                self.counts[each["kind"]] += 1
                yield each
            yield record("end", counts=dict(self.counts))

    def _content(self) -> Iterator[Record]:
        if isinstance(self._subject, EvaluationRunId):
            run = self._client.evaluations.get(self._subject)
            project = self._project_of(run)
            yield _project_record(project)
            yield from self._run(run, project)
            return
        project = self._client.projects.get(self._subject)
        yield _project_record(project)
        # Oldest first: datasets grow, and a run has the datapoints of its time.
        runs = [(run.created_at, run.id) for run in self._client.evaluations.iter_all(project.id)]
        for _, run_id in sorted(runs):
            yield from self._run(self._client.evaluations.get(run_id), project)
        for dataset in self._client.datasets.list():
            if dataset.project_id == project.id:
                yield from self._dataset(dataset)
                for row in self._client.datasets.iter_datapoints(dataset.id, page_size=_PAGE):
                    yield from self._datapoint(row, dataset)
        self.superseded = max(0, project.data_count - self.counts["log"])

    def _run(self, run: EvaluationRun, project: Project) -> Iterator[Record]:
        config_id = str(run.config["id"])
        if self._first("config", config_id):
            settings = {name: value for name, value in run.config.items() if name != "id"}
            yield record("config", id=config_id, project_id=project.id, config=settings)
        for evaluator in run.evaluators:
            if self._first("evaluator", evaluator.id):
                yield record(
                    "evaluator",
                    id=evaluator.id,
                    name=evaluator.name,
                    description=evaluator.description,
                    arguments_type=evaluator.arguments_type,
                    return_type=evaluator.return_type,
                    type=evaluator.type,
                    code=evaluator.code,
                    config=evaluator.model_config,
                )
        yield from self._dataset(run.dataset)
        for row in self._client.evaluations.iter_datapoints(run.id, page_size=_PAGE):
            yield from self._datapoint(row.datapoint, run.dataset)
            if row.log is not None:
                yield from self._log(row.log, run, row.datapoint.id)
                for verdict in row.evaluation_results:
                    yield _result_record(verdict, run, row.log)
        yield record(
            "run",
            id=run.id,
            project_id=project.id,
            dataset_id=run.dataset.id,
            config_id=config_id,
            evaluator_ids=[evaluator.id for evaluator in run.evaluators],
            status=run.status,
            created_at=run.created_at,
        )

    def _dataset(self, dataset: Dataset) -> Iterator[Record]:
        if self._first("dataset", dataset.id):
            yield record(
                "dataset",
                id=dataset.id,
                project_id=dataset.project_id or None,
                name=dataset.name,
                description=dataset.description,
            )

    def _datapoint(self, row: Datapoint, dataset: Dataset) -> Iterator[Record]:
        if self._first("datapoint", row.id):
            yield record(
                "datapoint",
                id=row.id,
                dataset_id=dataset.id,
                inputs=row.inputs,
                messages=_listed(row.messages),
                target=row.target,
            )

    def _log(self, log: Log, run: EvaluationRun, datapoint_id: str) -> Iterator[Record]:
        if log.session_id is not None and self._first("session", log.session_id):
            session = self._client.sessions.get(log.session_id)
            reference = session.reference_id or log.session_reference_id
            yield record("session", id=log.session_id, reference_id=reference)
        fields = {name: _listed(getattr(log, name)) for name in (*LOG_FIELDS, *READ_ONLY_FIELDS)}
        if log.parent_id is not None:
            fields["parent_reference_id"] = None  # names the same log
        yield record("log", id=log.id, run_id=run.id, datapoint_id=datapoint_id, **fields)

    def _first(self, kind: str, each: str) -> bool:
        return self._seen.put(kind, each, each)

    def _project_of(self, run: EvaluationRun) -> Project:
        """Find the project of a run, which is usually the project of its dataset."""
        home = run.dataset.project_id
        if home and self._lists(home, run):
            return self._client.projects.get(home)
        for project in self._client.projects.iter_all():
            if self._lists(project.id, run):
                return project
        raise InvalidRequestError(f"No project lists {run.id}.", parameter="subject")

    def _lists(self, project_id: ProjectId, run: EvaluationRun) -> bool:
        found = self._client.evaluations.list(project_id, id_filter=[run.id], size=1)
        return any(each.id == run.id for each in found.records)


def _project_record(project: Project) -> Record:
    return record("project", id=project.id, name=project.name)


def _result_record(verdict: EvaluationResult, run: EvaluationRun, log: Log) -> Record:
    return record(
        "result",
        id=verdict.id,
        run_id=run.id,
        log_id=log.id,
        evaluator_id=verdict.evaluator_id,
        value=verdict.value,
        error=verdict.error,
        created_at=verdict.created_at,
    )


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
