from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from _support.served import MISSING, Api, Run, make_evaluator
from evrun.server.db.tables import evaluator_versions, evaluators
from evrun.server.store import scope

if TYPE_CHECKING:
    from sqlalchemy import Table

    from evrun.server.db.database import Database


def test_a_projects_name_is_its_own(api: Api) -> None:
    """A taken name is 409, a blank one 422."""
    project = api.ok("Projects_create", {"name": "p", "directory_id": "dir_1"})
    assert (project["name"], project["directory_id"]) == ("p", "dir_1")
    assert project["team_id"].startswith("tm_")
    assert api.send("Projects_create", {"name": "p"}).status_code == 409
    assert api.refused("Projects_create", {"name": " "})[0] == ["body", "name"]


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["beta", "Alpha", "gamma"]),
        ({"order": "asc"}, ["gamma", "Alpha", "beta"]),
        ({"sort_by": "name", "order": "asc"}, ["Alpha", "beta", "gamma"]),
        ({"filter": "ALPH"}, ["Alpha"]),
        ({"filter": "%"}, []),
        ({"size": 1, "page": 1}, ["Alpha"]),
        ({"user_filter": "somebody"}, []),
    ],
)
def test_projects_are_listed(api: Api, query: dict[str, Any], names: list[str]) -> None:
    """Newest first; filtered by name whatever its case; sorted as asked."""
    for name in ("gamma", "Alpha", "beta"):
        api.ok("Projects_create", {"name": name})
    answer = api.ok("Projects_list", **query)
    assert [each["name"] for each in answer["records"]] == names
    assert answer["total"] == (3 if "size" in query else len(names))


@pytest.mark.both_databases
def test_projects_are_found_in_any_language(api: Api) -> None:
    """The filter folds case beyond ASCII, and its wildcards mean themselves."""
    api.ok("Projects_create", {"name": "Köln_50%"})
    totals = [
        api.ok("Projects_list", filter=part)["total"] for part in ("KÖLN", "n_5", "0%", "k_ln", "%")
    ]
    assert totals == [1, 1, 1, 0, 1]


@pytest.mark.both_databases
def test_a_project_counts_its_logs_and_knows_its_config(run: Run) -> None:
    """The first config registered is the active one."""
    run.log()
    project = run.api.ok("Projects_get", id=run.project_id)
    assert project["data_count"] == 1
    assert project["config_type"] == "model"
    assert project["active_config"]["config"]["id"] == run.config_id
    assert project["active_config"]["num_datapoints"] == 1


@pytest.mark.both_databases
def test_registering_the_same_settings_gives_the_same_config(api: Api) -> None:
    """A new project name makes the project; other settings make another config."""
    body = {"project": "made", "model": "m", "temperature": 0.5}
    first, again = (api.ok("ModelConfigs_register", body) for _ in range(2))
    other = api.ok("ModelConfigs_register", body | {"temperature": 0})
    assert first["config"] == again["config"]
    assert first["config"]["id"] != other["config"]["id"]
    assert {each["project_id"] for each in (first, again, other)} == {first["project_id"]}
    project = api.ok("Projects_get", id=first["project_id"])
    assert project["active_config"]["config"]["id"] == first["config"]["id"]


def test_a_config_comes_back_as_it_was_sent(api: Api) -> None:
    """Defaults are filled in; null counts as left out; tools get an id."""
    body = {
        "model": "gpt",
        "name": "n",
        "provider": None,
        "temperature": 0,
        "stop": ["a"],
        "other": {"k": None},
        "response_format": {"type": "json_object"},
        "chat_template": [{"role": "system", "content": "{{x}}"}],
        "tools": [{"name": "t", "parameters": {"a": 1}}, {"id": "oc_1", "source": "organization"}],
    }
    registered = api.ok("ModelConfigs_register", {**body, "project": "p"})["config"]
    shown = api.ok("ModelConfigs_get", id=registered["id"])
    assert {k: shown[k] for k in ("model", "name", "stop", "other", "response_format")} == {
        k: body[k] for k in ("model", "name", "stop", "other", "response_format")
    }
    assert (shown["provider"], shown["temperature"], shown["max_tokens"]) == ("openai", 0, -1)
    assert shown["chat_template"][0]["content"] == "{{x}}"
    assert [each["id"] for each in shown["tools"]] == [shown["id"], "oc_1"]


def test_a_config_is_registered_to_a_project(api: Api) -> None:
    """No project is 422; both names are fine if they agree and 422 if not; unknown ids are 404."""
    project = api.ok("Projects_create", {"name": "p"})
    assert api.refused("ModelConfigs_register", {"model": "m"}) == (["body", "project"], "missing")
    both = {"model": "m", "project": "p", "project_id": project["id"]}
    api.ok("ModelConfigs_register", both)
    assert api.refused("ModelConfigs_register", both | {"project": "q"})[1] == "contradiction"
    unknown = {"model": "m", "project_id": f"pr_{MISSING}"}
    api.missing("ModelConfigs_register", unknown)


@pytest.mark.both_databases
def test_datapoints_keep_their_order(run: Run) -> None:
    """Pages follow the order in which the rows were added, and a row can be read alone."""
    records = []
    for page in range(2):
        answer = run.api.ok("Datasets_listDatapoints", dataset_id=run.dataset_id, size=2, page=page)
        assert answer["total"] == 3
        records += answer["records"]
    assert tuple(each["id"] for each in records) == run.datapoint_ids
    shown = run.api.ok("Datapoints_get", id=records[2]["id"])
    assert shown == records[2]
    assert (shown["inputs"], shown["target"]) == ({"n": "2"}, {"answer": 2})


def test_datapoints_come_alone_in_lists_or_from_logs(run: Run) -> None:
    """A log's inputs become text, and its output the target."""
    messages = [{"role": "user", "content": "q"}]
    full = run.log(inputs={"n": 1, "t": "x"}, output="Paris")["id"]
    chat, bare = (run.log(row, **log)["id"] for row, log in ((1, {"messages": messages}), (2, {})))
    given: list[Any] = [{}, [{"messages": messages}, {}], [], {"log_ids": [full, chat, bare]}]
    made = [run.api.ok("Datasets_createDatapoint", b, dataset_id=run.dataset_id) for b in given]
    assert [len(each) for each in made] == [1, 2, 0, 3]
    assert made[1][0]["messages"][0]["content"] == "q"
    assert made[3][0]["inputs"] == {"n": "1", "t": "x"}
    assert made[3][0]["target"] == {"output": "Paris"}
    assert made[3][1]["messages"] == made[1][0]["messages"]
    assert [made[3][2][field] for field in ("inputs", "messages", "target")] == [None] * 3
    (dataset,) = run.api.ok("Datasets_list")
    assert dataset == run.api.ok("Datasets_get", id=run.dataset_id)
    assert dataset["datapoint_count"] == 9


def test_datapoints_from_logs_need_logs_that_were_kept(run: Run) -> None:
    """An unknown log is 404, an unsaved one 422, and a wrong id is no empty datapoint."""
    given = {"dataset_id": run.dataset_id}
    run.api.missing("Datasets_createDatapoint", {"log_ids": [f"data_{MISSING}"]}, **given)
    unsaved = {"log_ids": [run.log(save=False)["id"]]}
    assert run.api.refused("Datasets_createDatapoint", unsaved, **given)[1] == "not_saved"
    wrong = run.api.refused("Datasets_createDatapoint", {"log_ids": ["x"]}, **given)
    assert wrong[1] == "string_pattern_mismatch"


@pytest.mark.both_databases
def test_a_body_may_name_more_logs_than_a_statement(run: Run) -> None:
    """As many as fit into a body are looked up, and all or none become datapoints."""
    given = {"dataset_id": run.dataset_id}
    log_id = run.log(output="x")["id"]
    unknown = [f"data_{n}" for n in range(300_000)]
    assert "data_0" in run.api.missing(
        "Datasets_createDatapoint", {"log_ids": [log_id, *unknown]}, **given
    )
    assert run.api.ok("Datasets_get", id=run.dataset_id)["datapoint_count"] == 3
    made = run.api.ok("Datasets_createDatapoint", {"log_ids": [log_id] * 2001}, **given)
    assert [each["target"] for each in made] == [{"output": "x"}] * 2001


@pytest.mark.both_databases
def test_whole_lists_are_read_in_parts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, each comes once, in order and with all that belongs to it."""
    api = run.api
    make_evaluator(api, "number")
    other = api.ok("Datasets_create", {"name": "o", "description": ""}, project_id=run.project_id)
    for dataset_id in (other["id"], run.dataset_id):
        body = {"config_id": run.config_id, "dataset_id": dataset_id, "hl_generated": False}
        body["evaluator_ids"] = [run.evaluator_id]
        api.ok("Evaluations_create", body, project_id=run.project_id)
    lists: tuple[tuple[str, dict[str, str]], ...] = (
        ("Evaluators_list", {}),
        ("Datasets_list", {}),
        (
            "Evaluations_listAllForProject",
            {"project_id": run.project_id, "evaluator_aggregates": "true"},
        ),
    )
    whole = [api.ok(name, **given) for name, given in lists]
    assert [len(each) for each in whole] == [2, 2, 3]
    monkeypatch.setattr(scope, "PART", 1)
    assert [api.ok(name, **given) for name, given in lists] == whole


@pytest.mark.parametrize(
    ("field", "value"),
    [("type", "python"), ("type", "llm"), ("code", "x"), ("model_config", {"model": "m"})],
)
def test_the_server_runs_no_evaluator(api: Api, field: str, value: Any) -> None:
    """Evaluators with code or a model are 422, in a sentence that says where to judge."""
    body = {
        "name": "n",
        "description": "",
        "arguments_type": "target_free",
        "return_type": "boolean",
        "type": "external",
    }
    response = api.send("Evaluators_create", body | {field: value})
    (complaint,) = response.json()["detail"]
    assert complaint["loc"] == ["body", field]
    assert "judge outside" in complaint["msg"]


@pytest.mark.both_databases
def test_evaluators_change_and_go(run: Run) -> None:
    """A run keeps the version it was given, and what a run uses cannot be deleted."""
    changed = run.api.ok(
        "Evaluators_update", {"name": "new", "return_type": "number"}, id=run.evaluator_id
    )
    assert (changed["name"], changed["return_type"]) == ("new", "number")
    assert run.api.ok("Evaluators_update", {}, id=run.evaluator_id) == changed
    assert run.get()["evaluators"][0]["return_type"] == "boolean"
    run.result(run.log()["id"], True)  # noqa: FBT003 - the verdict itself
    assert run.api.send("Evaluators_delete", id=run.evaluator_id).status_code == 409
    spare = make_evaluator(run.api, name="spare", type="human")["id"]
    assert [each["id"] for each in run.api.ok("Evaluators_list")] == [run.evaluator_id, spare]
    assert run.api.ok("Evaluators_delete", id=spare) is None
    run.api.missing("Evaluators_get", id=spare)
    refusal = run.api.refused("Evaluators_update", {"code": "x"}, id=run.evaluator_id)
    assert refusal == (["body", "code"], "not_supported")


def test_an_evaluator_has_a_name(run: Run) -> None:
    """A blank one is refused, of a new evaluator and of one that changes."""
    body = {
        "description": "",
        "arguments_type": "target_free",
        "return_type": "boolean",
        "type": "external",
    }
    for name in ("", " \t"):
        place = (["body", "name"], "string_too_short")
        assert run.api.refused("Evaluators_create", body | {"name": name}) == place
        assert run.api.refused("Evaluators_update", {"name": name}, id=run.evaluator_id) == place


@pytest.mark.both_databases
def test_an_evaluator_goes_with_its_versions(api: Api, database: Database) -> None:
    """Nothing of it is left in the database."""
    evaluator_id = make_evaluator(api)["id"]
    api.ok("Evaluators_update", {"return_type": "number"}, id=evaluator_id)
    assert _count(database, evaluator_versions) == 2
    api.ok("Evaluators_delete", id=evaluator_id)
    assert (_count(database, evaluators), _count(database, evaluator_versions)) == (0, 0)


def _count(database: Database, table: Table) -> int:
    query = select(func.count()).select_from(table)
    return database.read(lambda connection: connection.execute(query).scalar_one())


@pytest.mark.both_databases
def test_sessions_are_listed_by_project(run: Run) -> None:
    """Those with logs of the project, newest first; pages count from 1."""
    empty = run.api.ok("Sessions_create")["id"]
    ids = [run.log(session_reference_id=name)["session_id"] for name in ("a", "b")]
    run.log(1, session_id=ids[0], inputs={"q": "x"}, output="last")
    answer = run.api.ok("Sessions_list", project_id=run.project_id)
    assert [each["id"] for each in answer["records"]] == ids[::-1]
    assert answer["records"][1]["last_output"] == "last"
    second = run.api.ok("Sessions_list", project_id=run.project_id, page=2, size=1)
    assert [each["id"] for each in second["records"]] == ids[:1]
    assert run.api.ok("Sessions_get", id=empty)["projects"] == []
