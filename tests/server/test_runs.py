from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from _support.served import MISSING, Api, Run, make_evaluator, make_run, make_run_with, run_body

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_run_is_born_pending_with_all_that_it_needs(api: Api) -> None:
    """The answer to a create names config, dataset, evaluators and the one evaluatee."""
    run = make_run(api, status="pending")
    shown = run.get()
    assert shown["status"] == "pending"
    assert shown["config"]["id"] == run.config_id
    assert shown["dataset"]["id"] == run.dataset_id
    assert [each["id"] for each in shown["evaluators"]] == [run.evaluator_id]
    assert shown["evaluatees"] == [{"id": run.evaluatee_id, "config_id": run.config_id}]
    assert shown["evaluator_aggregates"] is None


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        ("pending", "running"),
        ("pending", "cancelled"),
        ("running", "completed"),
        ("running", "cancelled"),
        ("completed", "running"),
        ("pending", "pending"),
        ("running", "running"),
        ("completed", "completed"),
        ("cancelled", "cancelled"),
    ],
)
def test_a_status_can_become(api: Api, start: str, wanted: str) -> None:
    """Runs start, end and open again; the status that a run has is accepted again."""
    run = _in_status(api, start)
    assert run.set(wanted)["status"] == wanted


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        ("pending", "completed"),
        ("running", "pending"),
        ("completed", "pending"),
        ("completed", "cancelled"),
        ("cancelled", "running"),
        ("cancelled", "completed"),
        ("cancelled", "pending"),
    ],
)
def test_a_status_cannot_become(api: Api, start: str, wanted: str) -> None:
    """Nothing skips running, nothing goes back to pending, and cancelled is final."""
    run = _in_status(api, start)
    refusal = api.refused("Evaluations_updateStatus", {"status": wanted}, id=run.id)
    assert refusal == (["body", "status"], "status_transition")


def _in_status(api: Api, status: str) -> Run:
    run = make_run(api, status="pending")
    if status == "completed":
        run.set("running")
    run.set(status)
    return run


@pytest.mark.parametrize("sent", [True, None, "left out"])
def test_the_server_generates_nothing(run: Run, sent: Any) -> None:
    """hl_generated true is refused, and so is leaving it out, which means true."""
    body = run_body(run, hl_generated=sent)
    response = run.api.send("Evaluations_create", body, project_id=run.project_id)
    (complaint,) = response.json()["detail"]
    assert complaint["loc"] == ["body", "hl_generated"]
    assert "hl_generated=false" in complaint["msg"]


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("config_id", f"config_{MISSING}"),
        ("dataset_id", f"evts_{MISSING}"),
        ("evaluator_ids", [f"evfn_{MISSING}"]),
    ],
)
def test_a_run_needs_what_exists(run: Run, field: str, value: Any) -> None:
    """An unknown config, dataset or evaluator is 404."""
    body = run_body(run, **{field: value})
    assert MISSING in run.api.missing("Evaluations_create", body, project_id=run.project_id)


@pytest.mark.both_databases
def test_provider_keys_are_kept_nowhere(
    run: Run, stored: Callable[[], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """provider_api_keys is accepted and reaches no byte of the database, and no log."""
    caplog.set_level("DEBUG")
    body = run_body(run, provider_api_keys={"openai": "sk-very-secret"})
    run.api.ok("Evaluations_create", body, project_id=run.project_id)
    assert b"sk-very-secret" not in stored()
    assert "sk-very-secret" not in caplog.text


def test_datapoints_that_come_later_belong_to_no_earlier_run(run: Run) -> None:
    """A run evaluates the dataset as it was when the run was created."""
    (late,) = run.api.ok(
        "Datasets_createDatapoint", {"inputs": {"n": "9"}}, dataset_id=run.dataset_id
    )
    refusal = run.api.refused(
        "Evaluations_log", {"datapoint_id": late["id"], "log": {}}, **run.path
    )
    assert refusal == (["body", "datapoint_id"], "not_in_dataset")
    shown = run.get()
    assert shown["dataset"]["datapoint_count"] == 4
    assert shown["dataset_snapshot"]["datapoint_count"] == 3
    assert run.api.ok("Evaluations_listDatapoints", id=run.id)["total"] == 3


@pytest.mark.both_databases
def test_evaluators_are_added_by_id_and_by_version(run: Run) -> None:
    """One already there stays, so that a retried PATCH is harmless."""
    second = make_evaluator(run.api, name="second")["id"]
    for _ in range(2):
        shown = run.api.ok("Evaluations_addEvaluators", {"evaluator_ids": [second]}, id=run.id)
        assert [each["id"] for each in shown["evaluators"]] == [run.evaluator_id, second]
    entries = run.get(evaluator_aggregates="true")["evaluator_aggregates"]
    version = entries[1]["evaluator_version_id"]
    run.api.ok("Evaluations_addEvaluators", {"evaluator_version_ids": [version]}, id=run.id)


def test_an_evaluator_can_be_added_in_an_earlier_version(run: Run) -> None:
    """By version, the run judges with that one; by id, with the current one; never with two."""
    api = run.api
    evaluator_id = make_evaluator(api, name="second")["id"]
    api.ok("Evaluations_addEvaluators", {"evaluator_ids": [evaluator_id]}, id=run.id)
    first = run.get(evaluator_aggregates="true")["evaluator_aggregates"][1]["evaluator_version_id"]
    api.ok("Evaluators_update", {"return_type": "number"}, id=evaluator_id)
    other = make_run_with(api, run)["id"]
    both = {"evaluator_ids": [evaluator_id], "evaluator_version_ids": [first]}
    assert api.send("Evaluations_addEvaluators", both, id=other).status_code == 409
    shown = api.ok("Evaluations_addEvaluators", {"evaluator_version_ids": [first]}, id=other)
    assert [each["return_type"] for each in shown["evaluators"]] == ["boolean", "boolean"]
    twice = {"evaluator_ids": [evaluator_id], "evaluator_version_ids": [first]}
    again = api.ok("Evaluations_addEvaluators", twice, id=other)
    assert again["evaluators"] == shown["evaluators"]


def test_a_run_judges_with_one_version_of_an_evaluator(run: Run) -> None:
    """Another version of an evaluator that the run has already is 409."""
    api = run.api
    api.ok("Evaluators_update", {"return_type": "number"}, id=run.evaluator_id)
    newer = make_run_with(api, run)
    entry = newer["evaluator_aggregates"][0]
    response = api.send(
        "Evaluations_addEvaluators",
        {"evaluator_version_ids": [entry["evaluator_version_id"]]},
        id=run.id,
    )
    assert response.status_code == 409


def test_adding_nothing_or_the_unknown_is_refused(run: Run) -> None:
    """An empty PATCH is 422, an unknown evaluator or version 404, a cancelled run 422."""
    api, given = run.api, {"id": run.id}
    assert api.refused("Evaluations_addEvaluators", {}, **given)[0] == ["body", "evaluator_ids"]
    api.missing("Evaluations_addEvaluators", {"evaluator_ids": [f"evfn_{MISSING}"]}, **given)
    api.missing("Evaluations_addEvaluators", {"evaluator_version_ids": [f"evv_{MISSING}"]}, **given)
    run.set("cancelled")
    body = {"evaluator_ids": [run.evaluator_id]}
    assert api.refused("Evaluations_addEvaluators", body, **given)[1] == "run_status"


@pytest.mark.both_databases
def test_runs_are_paged_newest_first(run: Run) -> None:
    """Pages do not overlap, and the total counts all of them."""
    ids = [run.id, make_run_with(run.api, run)["id"], make_run_with(run.api, run)["id"]]
    seen = []
    for page in range(4):
        answer = run.api.ok("Evaluations_list", project_id=run.project_id, size=1, page=page)
        assert answer["total"] == 3
        seen += [each["id"] for each in answer["records"]]
    assert seen == ids[::-1]
    everything = run.api.ok("Evaluations_listAllForProject", project_id=run.project_id)
    assert [each["id"] for each in everything] == ids[::-1]


QUERIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"status_filter": "running"}, ["first"]),
    ({"status_filter": ["running", "pending"]}, ["second", "first"]),
    ({"dataset_filter": "rows"}, ["second", "first"]),
    ({"dataset_filter": "others"}, []),
    ({"config_filter": "m"}, ["second", "first"]),
    ({"config_filter": "other"}, []),
    ({"start_date": "2020-01-01"}, ["second", "first"]),
    ({"end_date": "2020-01-01"}, []),
    ({"sort": "status.desc"}, ["first", "second"]),
    ({"sort": "status.asc"}, ["second", "first"]),
    ({"sort": ["dataset.asc", "config.desc", "status.desc"]}, ["first", "second"]),
    ({"sort": "evaluator-{evaluator}.desc"}, ["first", "second"]),
    ({"id": "{first}"}, ["first"]),
    ({"id_filter": "{first}"}, ["first"]),
    ({"id": "{first}", "id_filter": "{second}"}, []),
    ({"evaluatee_id": "{evaluatee}"}, ["first"]),
]


@pytest.mark.both_databases
def test_runs_are_filtered_and_sorted(run: Run) -> None:
    """Each filter narrows, several values of one widen, and sort keys apply in their order."""
    run.result(run.log()["id"], True)  # noqa: FBT003 - the verdict itself
    ids = {"first": run.id, "second": make_run_with(run.api, run)["id"]}
    names = {**ids, "evaluator": run.evaluator_id, "evaluatee": run.evaluatee_id}
    for query, found in QUERIES:
        filled = {
            key: [each.format(**names) for each in ([value] if isinstance(value, str) else value)]
            for key, value in query.items()
        }
        answer = run.api.ok("Evaluations_list", project_id=run.project_id, **filled)
        assert [each["id"] for each in answer["records"]] == [ids[name] for name in found], query


@pytest.mark.both_databases
def test_runs_are_found_by_the_names_of_configs_whatever_those_hold(run: Run) -> None:
    """U+0000 within a config harms no filter, and names are sorted bytewise everywhere."""
    named = {run.id: "m"}
    for name in ("b", "B", "a"):
        config = {"model": "m", "name": name, "prompt_template": "a\0b"}
        registered = run.api.ok("ModelConfigs_register", config | {"project_id": run.project_id})
        assert registered["config"]["prompt_template"] == "a\0b"
        body = run_body(run) | {"config_id": registered["config"]["id"]}
        named[run.api.ok("Evaluations_create", body, project_id=run.project_id)["id"]] = name

    def listed(**query: str) -> list[str]:
        page = run.api.ok("Evaluations_list", project_id=run.project_id, **query)
        return [named[each["id"]] for each in page["records"]]

    assert listed(config_filter="B") == ["B"]
    assert listed(config_filter="m") == ["a", "B", "b", "m"]
    assert listed(sort="config.asc") == ["B", "a", "b", "m"]
    assert listed(sort="config.desc") == ["m", "b", "a", "B"]
    nul = {"model": "m", "name": "a\0b", "project_id": run.project_id}
    assert run.api.refused("ModelConfigs_register", nul) == (["body", "name"], "nul_character")
