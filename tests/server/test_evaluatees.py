"""A run with two evaluatees. No operation makes one, but the contract names them everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert

from _support.served import Run, make_run
from evrun.server.db.ids import new_id
from evrun.server.db.tables import evaluatees

if TYPE_CHECKING:
    from _support.served import Api
    from evrun.server.db.database import Database

pytestmark = pytest.mark.both_databases

OTHER = new_id("evv_")


@pytest.fixture
def run(api: Api, database: Database) -> Run:
    """Return a run whose second evaluatee is another config, `OTHER`."""
    run = make_run(api)
    config = {"model": "other", "project_id": run.project_id}
    config_id = api.ok("ModelConfigs_register", config)["config"]["id"]
    second = {"id": OTHER, "run_id": run.id, "config_id": config_id, "position": 1}
    database.write(lambda connection: connection.execute(insert(evaluatees).values(second)))
    return run


def _log(run: Run, evaluatee_id: str | None) -> str:
    named = {"evaluatee_id": evaluatee_id} if evaluatee_id else {}
    answer = run.api.ok("Evaluations_log", run.log_body(output="x"), **run.path, **named)
    log_id: str = answer["id"]
    return log_id


def test_each_evaluatee_has_logs_of_its_own(run: Run) -> None:
    """The newest log is the newest of an evaluatee; the first one is meant unless named."""
    first, second, unnamed = _log(run, run.evaluatee_id), _log(run, OTHER), _log(run, None)
    for named, expected in ((run.evaluatee_id, unnamed), (OTHER, second)):
        page = run.api.ok("Evaluations_listDatapoints", id=run.id, evaluatee_id=named)
        assert page["records"][0]["log"]["id"] == expected
    models = [run.api.ok("Logs_get", id=each)["config"]["model"] for each in (first, second)]
    assert models == ["m", "other"]


def test_a_run_is_shown_as_the_named_evaluatee_has_it(run: Run) -> None:
    """Its config and its aggregates; without a name the first config and all aggregates."""
    for evaluatee_id, verdict in ((None, True), (OTHER, False)):
        run.result(_log(run, evaluatee_id), verdict)
    shown = run.get(evaluator_aggregates="true")
    assert [each["id"] for each in shown["evaluatees"]] == [run.evaluatee_id, OTHER]
    assert shown["config"]["model"] == "m"
    assert [each["aggregate_value"] for each in shown["evaluator_aggregates"]] == [1.0, 0.0]
    other = run.get(evaluator_aggregates="true", evaluatee_id=OTHER)
    assert other["config"]["model"] == "other"
    assert [each["aggregate_value"] for each in other["evaluator_aggregates"]] == [0.0]


def test_runs_are_found_by_any_evaluatee_and_listed_once(run: Run) -> None:
    """Filters look at the named evaluatee, else at the first."""
    given = {"project_id": run.project_id}
    for query, model, total in (
        ({}, "m", 1),
        ({"evaluatee_id": OTHER}, "other", 1),
        ({"evaluatee_id": OTHER, "config_filter": "other"}, "other", 1),
        ({"config_filter": "other"}, "", 0),
    ):
        page = run.api.ok("Evaluations_list", **given, **query)
        assert page["total"] == total
        assert [each["config"]["model"] for each in page["records"]] == [model] * total


def test_a_verdict_names_the_evaluatee_of_its_log(run: Run) -> None:
    """Another evaluatee of the same run is 422."""
    body = {"log_id": _log(run, OTHER), "evaluator_id": run.evaluator_id, "result": True}
    run.api.ok("Evaluations_result", body, **run.path, evaluatee_id=OTHER)
    wrong = {**run.path, "evaluatee_id": run.evaluatee_id}
    refusal = run.api.refused("Evaluations_result", body, **wrong)
    assert refusal == (["query", "evaluatee_id"], "contradiction")


def test_a_config_other_than_the_evaluatees_is_refused(run: Run) -> None:
    """A log for the second evaluatee cannot claim the first one's config."""
    body = run.log_body(config_id=run.config_id)
    run.api.ok("Evaluations_log", body, **run.path)
    refusal = run.api.refused("Evaluations_log", body, **run.path, evaluatee_id=OTHER)
    assert refusal == (["body", "log", "config_id"], "contradiction")
