# ruff: noqa: FBT003 - a verdict is a boolean
from __future__ import annotations

from typing import Any

import pytest
from served import MISSING, Api, Run, make_evaluator, make_run


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
        ("text", True),
        ("select", 1),
        ("multi_select", 1.5),
    ],
)
def test_a_value_of_another_type_is_refused(api: Api, return_type: str, value: Any) -> None:
    """1 is no boolean, true is no number, and no result can be a text."""
    run = make_run(api, return_type=return_type)
    assert _refused(run, result=value) == (["body", "result"], "return_type")


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" + b"0" * 400])
def test_a_value_is_finite(api: Api, text: bytes) -> None:
    """NaN, infinity and numbers beyond a float are 422."""
    run = make_run(api, return_type="number")
    content = b'{"log_id": "%s", "evaluator_id": "%s", "result": %s}' % (
        run.log()["id"].encode(),
        run.evaluator_id.encode(),
        text,
    )
    _, kind = run.api.refused("Evaluations_result", content=content, **run.path)
    assert kind == "finite_number"


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


def test_the_evaluatee_of_a_verdict_is_the_logs(run: Run) -> None:
    """Naming the right one is fine, an unknown one is 404."""
    body = {"log_id": run.log()["id"], "evaluator_id": run.evaluator_id, "result": True}
    run.api.ok("Evaluations_result", body, **run.path, evaluatee_id=run.evaluatee_id)
    run.api.missing("Evaluations_result", body, **run.path, evaluatee_id=f"evv_{MISSING}")
