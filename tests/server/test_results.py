# ruff: noqa: FBT003 - a verdict is a boolean
from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from attrs import evolve

from _support.parsed_answers import read
from _support.served import MISSING, Api, Run, make_evaluator, make_run

pytestmark = pytest.mark.both_databases

LARGEST = sys.float_info.max
SMALLEST = 5e-324
NEW = ("name", "description", "arguments_type", "return_type", "type")


def another_run(run: Run) -> Run:
    """Return a running run over the same objects."""
    body = {
        "config_id": run.config_id,
        "dataset_id": run.dataset_id,
        "evaluator_ids": [run.evaluator_id],
        "hl_generated": False,
    }
    created = run.api.ok("Evaluations_create", body, project_id=run.project_id)
    other = evolve(run, id=created["id"], evaluatee_id=created["evaluatees"][0]["id"])
    other.set("running")
    return other


def _refused(run: Run, **body: Any) -> tuple[Any, str]:
    filled = {"log_id": run.log()["id"], "evaluator_id": run.evaluator_id, **body}
    return run.api.refused("Evaluations_result", filled, **run.path)


def test_a_verdict_is_answered_in_full(run: Run) -> None:
    """The answer names the run, the log, the evaluator and its version."""
    log_id = run.log()["id"]
    answer = run.result(log_id, True)
    assert (answer["value"], answer["error"]) == (True, None)
    assert (answer["evaluation_id"], answer["log_id"]) == (run.id, log_id)
    assert answer["evaluator_version_id"].startswith("evv_")


@pytest.mark.parametrize(
    ("return_type", "value"),
    [("boolean", True), ("boolean", False), ("number", 3), ("number", -0.5), ("number", 0)],
)
def test_a_value_fits_the_return_type(api: Api, return_type: str, value: Any) -> None:
    """Booleans and numbers come back as what they were."""
    run = make_run(api, return_type=return_type)
    answer = run.result(run.log()["id"], value)
    assert (answer["value"], type(answer["value"])) == (value, type(value))


@pytest.mark.parametrize(
    ("return_type", "value"),
    [
        ("boolean", 1),
        ("boolean", 0.0),
        ("number", True),
    ],
)
def test_a_value_of_another_type_is_refused(api: Api, return_type: str, value: Any) -> None:
    """1 is no boolean, and true is no number."""
    run = make_run(api, return_type=return_type)
    assert _refused(run, result=value) == (["body", "result"], "return_type")


@pytest.mark.parametrize("return_type", ["text", "select", "multi_select"])
def test_an_evaluator_that_no_result_fits_is_refused(run: Run, return_type: str) -> None:
    """A result is a boolean or a number: an evaluator of another kind could never judge."""
    evaluator = make_evaluator(run.api)
    new = {**{name: evaluator[name] for name in NEW}, "return_type": return_type}
    for refusal in (
        run.api.send("Evaluators_create", new),
        run.api.send("Evaluators_update", {"return_type": return_type}, id=evaluator["id"]),
    ):
        assert refusal.status_code == 422
        assert refusal.json()["detail"] == [
            {
                "loc": ["body", "return_type"],
                "msg": f"No result can be given for return_type '{return_type}': a result is a "
                "boolean or a number. Take 'boolean' or 'number'.",
                "type": "not_supported",
            }
        ]
    assert run.api.ok("Evaluators_get", id=evaluator["id"]) == evaluator


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" + b"0" * 400])
def test_a_value_is_finite(api: Api, text: bytes) -> None:
    """NaN, infinity and numbers beyond a float are 422."""
    run = make_run(api, return_type="number")
    content = b'{"log_id": "%s", "evaluator_id": "%s", "result": %s}' % (
        run.log()["id"].encode(),
        run.evaluator_id.encode(),
        text,
    )
    refusal = run.api.refused("Evaluations_result", content=content, **run.path)
    assert refusal == (["body", "result"], "finite_number")


def test_a_verdict_is_a_value_or_an_error(run: Run) -> None:
    """Neither and both are refused; an error alone is recorded."""
    assert _refused(run) == (["body", "result"], "missing")
    assert _refused(run, result=True, error="e") == (["body", "result"], "contradiction")
    body = {"log_id": run.log()["id"], "evaluator_id": run.evaluator_id, "error": "e"}
    answer = run.api.ok("Evaluations_result", body, **run.path)
    assert (answer["value"], answer["error"]) == (None, "e")
    assert run.mean() is None


def test_log_and_evaluator_must_be_of_the_run(run: Run) -> None:
    """Those of another run are 422, unknown ones 404."""
    other = make_run(run.api, project="other")
    assert _refused(run, log_id=other.log()["id"], result=True)[1] == "not_in_run"
    stranger = make_evaluator(run.api)["id"]
    assert _refused(run, evaluator_id=stranger, result=True) == (
        ["body", "evaluator_id"],
        "not_in_run",
    )
    for unknown in ({"log_id": f"data_{MISSING}"}, {"evaluator_id": f"evfn_{MISSING}"}):
        body = {"log_id": run.log()["id"], "evaluator_id": run.evaluator_id, "result": True}
        run.api.missing("Evaluations_result", body | unknown, **run.path)


def test_only_a_running_run_takes_verdicts(run: Run) -> None:
    """After completion a verdict is 422; reopening the run takes it."""
    log_id = run.log()["id"]
    run.set("completed")
    body = {"log_id": log_id, "evaluator_id": run.evaluator_id, "result": True}
    refusal = run.api.refused("Evaluations_result", body, **run.path)
    assert refusal == (["path", "evaluation_id"], "run_status")
    run.set("running")
    run.result(log_id, True)


def test_the_second_verdict_replaces_the_first(run: Run) -> None:
    """It keeps the first one's id, and only it counts."""
    log_id = run.log()["id"]
    first, second = run.result(log_id, False), run.result(log_id, True)
    assert first["id"] == second["id"]
    (kept,) = run.api.ok("Logs_get", id=log_id)["evaluation_results"]
    assert kept["value"] is True
    assert run.mean() == 1.0


def test_the_mean_counts_the_newest_logs(run: Run) -> None:
    """True is 1; a superseded log's verdict is kept and does not count."""
    assert run.mean() is None
    old = run.log(0)["id"]
    run.result(old, True)
    run.result(run.log(1)["id"], False)
    assert run.mean() == 0.5
    new = run.log(0)["id"]
    assert run.mean() == 0.0
    run.result(new, True)
    assert run.mean() == 0.5
    assert run.api.ok("Logs_get", id=old)["evaluation_results"][0]["value"] is True


def test_numbers_are_averaged(api: Api) -> None:
    """The aggregate of numbers is their mean, whether whole or not."""
    run = make_run(api, return_type="number")
    for row, value in enumerate((1, 2.5, 4)):
        run.result(run.log(row)["id"], value)
    (entry,) = run.get(evaluator_aggregates="true", evaluatee_id=run.evaluatee_id)[
        "evaluator_aggregates"
    ]
    assert (entry["model_config_id"], entry["aggregate_value"]) == (run.config_id, 2.5)
    listed = api.ok("Evaluations_list", project_id=run.project_id)["records"][0]
    assert listed["evaluator_aggregates"] == [entry]


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([LARGEST, LARGEST], LARGEST),
        ([-LARGEST, -LARGEST, -LARGEST], -LARGEST),
        ([LARGEST, LARGEST, -LARGEST], LARGEST / 3),
        ([LARGEST, -LARGEST], 0.0),
        ([LARGEST, 1], LARGEST / 2),
        ([1e300, 1, -1e300], 1 / 3),
        ([1e200, 0], 5e199),  # PostgreSQL's own avg squares it
        ([10**308, 2**63], 5e307),
        ([SMALLEST, SMALLEST], SMALLEST),
        ([SMALLEST, 0, 0], 0.0),  # PostgreSQL refuses the quotient
        ([-0.0], 0.0),
    ],
)
def test_a_mean_never_overflows(api: Api, values: list[float], mean: float) -> None:
    """Neither where a run is shown, nor in lists, nor where these are sorted by it."""
    run = make_run(api, return_type="number")
    for row, value in enumerate(values):
        run.result(run.log(row)["id"], value)
    query = {"project_id": run.project_id, "sort": f"evaluator-{run.evaluator_id}.desc"}
    everything = {"project_id": run.project_id, "evaluator_aggregates": "true"}
    shown = [
        run.get(evaluator_aggregates="true"),
        *api.ok("Evaluations_list", **query)["records"],
        *api.ok("Evaluations_listAllForProject", **everything),
    ]
    assert [each["evaluator_aggregates"][0]["aggregate_value"] for each in shown] == [mean] * 3


def test_runs_are_sorted_by_means_of_any_size(api: Api) -> None:
    """Means that a sum would make infinite are still told apart; a run without one comes last."""
    first = make_run(api, return_type="number", rows=2)
    means = [-LARGEST, LARGEST / 2, -SMALLEST, LARGEST, 0.0]
    runs = [first, *(another_run(first) for _ in means)]
    for run, value in zip(runs, means, strict=False):
        for row in range(2):
            run.result(run.log(row)["id"], value)
    order = [runs[place].id for place in sorted(range(5), key=means.__getitem__)]
    for direction, expected in (("asc", order), ("desc", order[::-1])):
        query = {"sort": f"evaluator-{first.evaluator_id}.{direction}"}
        listed = api.ok("Evaluations_list", project_id=first.project_id, **query)["records"]
        assert [each["id"] for each in listed] == [*expected, runs[-1].id]


def _counts(run: Run) -> list[tuple[float | None, int, int, int]]:
    entries = run.get(evaluator_aggregates="true")["evaluator_aggregates"]
    listed = run.api.ok("Evaluations_list", project_id=run.project_id)["records"]
    (same,) = (each for each in listed if each["id"] == run.id)
    assert same["evaluator_aggregates"] == entries
    names = ("aggregate_value", "n", "errors", "missing")
    return [tuple(entry[name] for name in names) for entry in entries]


def test_a_mean_says_over_how_many_rows_it_is(run: Run) -> None:
    """Errors and rows without a verdict, logged or not, are counted apart: all rows are there."""
    assert _counts(run) == [(None, 0, 0, 3)]
    first = run.log(0)["id"]
    assert _counts(run) == [(None, 0, 0, 3)]
    run.result(first, True)
    assert _counts(run) == [(1.0, 1, 0, 2)]
    body = {"log_id": run.log(1)["id"], "evaluator_id": run.evaluator_id, "error": "e"}
    run.api.ok("Evaluations_result", body, **run.path)
    assert _counts(run) == [(1.0, 1, 1, 1)]
    run.result(run.log(2)["id"], False)
    assert _counts(run) == [(0.5, 2, 1, 0)]
    run.log(0)
    assert _counts(run) == [(0.0, 1, 1, 1)]  # the verdict was on a log that no longer counts


def test_the_client_shows_a_run_that_is_half_finished(run: Run) -> None:
    """Beside the mean stands how many rows lack a verdict; a server that counts none gives None."""
    run.result(run.log(0)["id"], True)
    response = run.api.send("Evaluations_get", id=run.id, evaluator_aggregates="true")
    (aggregate,) = read("Evaluations_get", 200, response.content).evaluator_aggregates
    assert repr(aggregate).endswith("aggregate_value=1.0, n=1, errors=0, missing=2)")
    answer = response.json()
    for name in ("n", "errors", "missing"):
        del answer["evaluator_aggregates"][0][name]
    content = json.dumps(answer).encode()
    (aggregate,) = read("Evaluations_get", 200, content).evaluator_aggregates
    assert repr(aggregate).endswith("aggregate_value=1.0)")


def test_each_evaluator_counts_the_rows_of_the_run(run: Run) -> None:
    """Rows that came after the run, and what another evaluator or run has, do not count."""
    run.api.ok("Datasets_createDatapoint", {"inputs": {"n": "9"}}, dataset_id=run.dataset_id)
    second = make_evaluator(run.api, "number", name="second")["id"]
    run.api.ok("Evaluations_addEvaluators", {"evaluator_ids": [second]}, id=run.id)
    log_id = run.log(0)["id"]
    run.result(log_id, True)
    body = {"log_id": log_id, "evaluator_id": second, "error": "e"}
    run.api.ok("Evaluations_result", body, **run.path)
    assert _counts(run) == [(1.0, 1, 0, 2), (None, 0, 1, 2)]
    other = another_run(run)
    assert _counts(other) == [(None, 0, 0, 4)]


def test_the_evaluatee_of_a_verdict_is_the_logs(run: Run) -> None:
    """Naming the right one is fine, an unknown one is 404."""
    body = {"log_id": run.log()["id"], "evaluator_id": run.evaluator_id, "result": True}
    run.api.ok("Evaluations_result", body, **run.path, evaluatee_id=run.evaluatee_id)
    run.api.missing("Evaluations_result", body, **run.path, evaluatee_id=f"evv_{MISSING}")
