"""Type-checked, not run: what a checker lets pass and what it reports.

Each line marked `# error` must be reported by mypy and by pyright, and no other line may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from evrun import (
    AsyncEvrun,
    EvaluationRunId,
    Evrun,
    LogId,
    LogItem,
    ProjectId,
    SessionId,
    parse_id,
)
from evrun.ids import Id
from evrun.results import CreatedLog, EvaluatedDatapoint, EvaluationRun, Page

if TYPE_CHECKING:
    from collections.abc import Iterator


def texts(client: Evrun, run_id: str) -> None:
    """Plain strings pass: they are checked when they arrive."""
    client.evaluations.log("evrun_1", datapoint_id="1", log={"output": "Paris"})
    client.evaluations.log(run_id, datapoint_id=run_id, log={}, evaluatee_id=None)
    client.run(run_id).log("1", log={})


def results(client: Evrun) -> None:
    """Results have exact types."""
    logged = client.evaluations.log("evrun_1", datapoint_id="1", log={})
    assert_type(logged, CreatedLog)
    assert_type(logged.id, LogId)
    assert_type(logged.project_id, ProjectId)
    assert_type(logged.session_id, SessionId | None)
    page = client.evaluations.list_datapoints("evrun_1")
    assert_type(page, Page[EvaluatedDatapoint])
    assert_type(page.records, tuple[EvaluatedDatapoint, ...])
    assert_type(client.evaluations.get("evrun_1").id, EvaluationRunId)
    assert_type(parse_id("evrun_1"), Id)


async def awaited(client: AsyncEvrun) -> None:
    """The async client has the same types."""
    assert_type(await client.evaluations.log("evrun_1", datapoint_id="1", log={}), CreatedLog)
    assert_type(await client.run("evrun_1").start(), EvaluationRun)


def swaps(client: Evrun, logged: CreatedLog, run: EvaluationRun) -> None:
    """A typed id of another resource is reported, in every place that takes an id."""
    client.evaluations.log(run.id, datapoint_id="1", log={})
    client.evaluations.log(logged.id, datapoint_id="1", log={})  # error
    client.evaluations.log("evrun_1", datapoint_id=run.id, log={})  # error
    client.evaluations.result(run.id, log_id=run.id, evaluator_id="evfn_1", result=True)  # error
    client.run(logged.project_id)  # error
    client.projects.get(logged.project_id)
    client.projects.get(logged.id)  # error
    client.logs.get(run.id)  # error


def takes_a_log(log_id: LogId) -> None:
    """A function of a user's own that takes one kind of id."""


def own_functions(run: EvaluationRun, logged: CreatedLog) -> None:
    """Ids guard the user's own functions too."""
    takes_a_log(logged.id)
    takes_a_log(run.id)  # error
    takes_a_log("data_1")  # error


def mistakes(client: Evrun) -> None:
    """None, numbers and positional extras are reported."""
    client.evaluations.log(None, datapoint_id="1", log={})  # error
    client.evaluations.log(7, datapoint_id="1", log={})  # error
    client.evaluations.log("evrun_1", "1", {})  # error
    client.evaluations.update_status("evrun_1", status="done")  # error


def items(client: Evrun, json: dict[str, Any], rows: Iterator[dict[str, Any]]) -> None:
    """The keys of a log are checked where they are written; JSON from elsewhere passes."""
    run = client.run("evrun_1")
    run.log("1", log={"output": "Paris", "inputs": {"any": [1, None]}, "duration": 0.5})
    run.log("1", log={"outptu": "Paris"})  # error
    run.log("1", log={"output": "Paris", "duration": "0.5 s"})  # error
    run.log("1", log={"config_id": run.id})  # error
    run.log("1", log=json)
    run.log_many([{"datapoint_id": "1", "log": {"output": "Paris"}}, json])
    run.log_many([{"datapoint": "1", "log": {"output": "Paris"}}])  # error
    run.log_many([{"datapoint_id": "1", "log": {"outptu": "Paris"}}])  # error
    run.log_many({"datapoint_id": str(n), "log": {"output": str(n)}} for n in range(3))
    run.log_many({"datapoint_id": str(n), "log": {"outptu": str(n)}} for n in range(3))  # error
    run.log_many(rows)
    item: LogItem = {"datapoint_id": "1", "log": {"output": "Paris"}, "idempotency_key": "k"}
    client.evaluations.log_batch("evrun_1", logs=[item])
    run.log_many(run.log_many([item], raise_on_error=False).again)


def filters(client: Evrun, made: AsyncEvrun) -> None:
    """A list's filters are checked by name and by type, also where all pages are read."""
    client.evaluations.list("pr_1", status_filter=["running"], sort=["status.asc"], page=1)
    client.evaluations.list("pr_1", status_filter=["done"])  # error
    client.evaluations.list("pr_1", statusfilter=["running"])  # error
    client.logs.iter_all("pr_1", search="Paris", page_size=10)
    client.logs.iter_all("pr_1", serach="Paris")  # error
    made.projects.iter_all(sort_by="name", order="asc")
    made.projects.iter_all(sort_by="size")  # error
