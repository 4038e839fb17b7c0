from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from _support.served import MISSING, Api, Run, contract, make_run
from evrun.server.store.logs import PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYTHING: dict[str, Any] = {
    "inputs": {"n": 1, "deep": {"null": None, "list": [1.5, "é"]}},
    "messages": [{"role": "user", "content": "hello"}],
    "output": "Paris",
    "output_message": {"role": "assistant", "content": "Paris"},
    "judgment": "good",
    "error": "none to speak of",
    "stdout": "printed",
    "provider_request": {"request": True},
    "provider_response": {"response": [1]},
    "metadata": {"commit": "abc"},
    "source": "ci",
    "environment": "staging",
    "duration": 1.25,
    "prompt_tokens": 3,
    "output_tokens": 4,
    "prompt_cost": 0.001,
    "output_cost": 0.002,
    "reference_id": "ours-1",
    "created_at": "2024-01-02T03:04:05+02:00",
    "save": True,
}


def test_a_log_is_answered_with_its_ids(run: Run) -> None:
    """The answer has the log's id and the run's project; no session unless one was named."""
    logged = run.log(output="Paris")
    assert logged == {"id": logged["id"], "project_id": run.project_id, "session_id": None}
    assert logged["id"].startswith("data_")


@pytest.mark.both_databases
def test_every_field_of_a_log_can_be_read_again(run: Run) -> None:
    """What was sent is what GET /logs/{id} answers; times come back in UTC."""
    shown = run.api.ok("Logs_get", id=run.log(**EVERYTHING)["id"])
    expected = {**EVERYTHING, "created_at": "2024-01-02T01:04:05Z"}
    assert {field: shown[field] for field in expected} == expected
    assert shown["source_datapoint_id"] == run.datapoint_ids[0]
    assert shown["tokens"] == 7
    assert shown["config"]["id"] == run.config_id
    assert shown["project"] == "capitals"


def test_feedback_gets_an_id(run: Run) -> None:
    """One piece of feedback or several come back as a list that names the log."""
    log_id = run.log(feedback={"type": "rating", "value": "good"})["id"]
    (feedback,) = run.api.ok("Logs_get", id=log_id)["feedback"]
    assert feedback["data_id"] == log_id
    assert feedback["id"].startswith("ann_")
    assert feedback["created_at"].endswith("Z")


@pytest.mark.both_databases
def test_the_time_of_feedback_is_answered_in_utc(run: Run) -> None:
    """A caller's own time keeps its instant; one beyond the calendar is refused."""
    given = {"type": "rating", "value": "good", "created_at": "2024-01-02T03:04:05.5+02:00"}
    (kept,) = run.api.ok("Logs_get", id=run.log(feedback=[given])["id"])["feedback"]
    assert kept["created_at"] == "2024-01-02T01:04:05.500000Z"
    given["created_at"] = "0001-01-01T00:00:00+02:00"
    place = ["body", "log", "feedback"]
    assert run.log_refused(feedback=given) == ([*place, "created_at"], "datetime_range")
    several = [given | {"created_at": "2024-01-02T03:04:05Z"}, given]
    assert run.log_refused(feedback=several) == ([*place, 1, "created_at"], "datetime_range")


@pytest.mark.parametrize(
    ("log", "place"),
    [
        ({"source": "a\0"}, ["source"]),
        ({"feedback": {"type": "a\0", "value": "b"}}, ["feedback", "type"]),
        ({"feedback": [{"type": "a", "value": ["b", "c\0"]}]}, ["feedback", 0, "value"]),
    ],
)
def test_a_text_with_nul_is_refused_at_its_place(run: Run, log: Any, place: list[Any]) -> None:
    """Where the text is a column of its own, which PostgreSQL could not keep."""
    assert run.log_refused(**log) == (["body", "log", *place], "nul_character")


SECRETS: dict[str, Any] = {
    "inputs": {"SECRET": {"SECRET": ["SECRET"]}},
    "messages": [{"role": "user", "content": "SECRET"}],
    "output": "SECRET",
    "output_message": {"role": "assistant", "content": "SECRET"},
    "judgment": "SECRET",
    "error": "SECRET",
    "stdout": "SECRET",
    "provider_request": {"SECRET": 1},
    "provider_response": {"text": "SECRET"},
}


def test_save_false_keeps_no_payload(run: Run, stored: Callable[[], bytes]) -> None:
    """Nothing that a model read or wrote reaches the database; the rest stays."""
    rest = {field: EVERYTHING[field] for field in EVERYTHING.keys() - SECRETS.keys()}
    log_id = run.log(**SECRETS, **{**rest, "save": False})["id"]
    run.api.ok("Logs_update", {"output": "SECRET", "error": "SECRET", "duration": 3.0}, id=log_id)
    run.api.ok("Logs_updateByRef", {"output": "SECRET"}, reference_id=rest["reference_id"])
    shown = run.api.ok("Logs_get", id=log_id)
    assert {shown[field] for field in SECRETS} == {None}
    changed = {"save": False, "duration": 3.0, "created_at": "2024-01-02T01:04:05Z"}
    assert {field: shown[field] for field in rest} == {**rest, **changed}
    assert b"SECRET" not in stored()


def test_every_field_of_a_log_is_payload_or_stays() -> None:
    """A field that the contract gains must be sorted into one or the other."""
    relations = {"project", "project_id", "config", "config_id", "source_datapoint_id"}
    relations |= {"session_id", "session_reference_id", "parent_id", "parent_reference_id"}
    fields = contract()["components"]["schemas"]["LogRequest"]["properties"].keys()
    assert set(SECRETS) == set(PAYLOAD)
    assert fields == EVERYTHING.keys() | relations | {"feedback"}


@pytest.mark.parametrize("status", ["pending", "completed", "cancelled"])
def test_only_a_running_run_takes_logs(api: Api, status: str) -> None:
    """In any other status a log is 422, and the sentence says what to do."""
    run = make_run(api, status="pending")
    if status == "completed":
        run.set("running")
    run.set(status)
    assert run.log_refused(output="x") == (["path", "evaluation_id"], "run_status")


def test_a_datapoint_must_be_in_the_dataset(run: Run) -> None:
    """An unknown datapoint, and one of another dataset, is 422 at body.datapoint_id."""
    other = make_run(run.api, project="other")
    for datapoint_id in ("unknown", other.datapoint_ids[0]):
        body = {"datapoint_id": datapoint_id, "log": {}}
        refusal = run.api.refused("Evaluations_log", body, **run.path)
        assert refusal == (["body", "datapoint_id"], "not_in_dataset")


def test_the_evaluatee_is_the_first_unless_named(run: Run) -> None:
    """Naming the run's evaluatee is the same as leaving it out; an unknown one is 404."""
    body = run.log_body(output="x")
    run.api.ok("Evaluations_log", body, **run.path, evaluatee_id=run.evaluatee_id)
    for name in ("Evaluations_get", "Evaluations_listDatapoints"):
        run.api.missing(name, id=run.id, evaluatee_id=f"evv_{MISSING}")
    run.api.missing("Evaluations_log", body, **run.path, evaluatee_id=f"evv_{MISSING}")


@pytest.mark.both_databases
def test_a_session_reference_finds_or_makes_the_session(run: Run) -> None:
    """The same reference is the same session, and session_id joins it too."""
    first = run.log(session_reference_id="conversation")["session_id"]
    assert run.log(1, session_reference_id="conversation")["session_id"] == first
    assert run.log(2, session_id=first)["session_id"] == first
    assert run.log(2, session_reference_id="other")["session_id"] != first
    session = run.api.ok("Sessions_get", id=first)
    assert (session["reference_id"], session["datapoints_count"]) == ("conversation", 3)
    assert [each["id"] for each in session["projects"]] == [run.project_id]


def test_a_session_is_named_once(run: Run) -> None:
    """Both names are 422; an unknown session is 404; null counts as left out."""
    session_id = run.api.ok("Sessions_create")["id"]
    refusal = run.log_refused(session_id=session_id, session_reference_id="x")
    assert refusal == (["body", "log", "session_reference_id"], "contradiction")
    body = run.log_body(session_id=f"sesh_{MISSING}")
    run.api.missing("Evaluations_log", body, **run.path)
    assert run.log(session_id=session_id, session_reference_id=None)["session_id"] == session_id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project_id", f"pr_{MISSING}"),
        ("project", "another"),
        ("config_id", f"config_{MISSING}"),
        ("config", {"type": "model", "model": "another"}),
        ("config", {"type": "tool", "name": "a tool"}),
        ("source_datapoint_id", "another"),
    ],
)
def test_a_log_cannot_contradict_its_run(run: Run, field: str, value: Any) -> None:
    """Another project, config or datapoint than the run's is 422 at that field."""
    assert run.log_refused(**{field: value}) == (["body", "log", field], "contradiction")


def test_a_log_may_repeat_what_the_run_says(run: Run) -> None:
    """The run's own project, config and datapoint are accepted."""
    run.log(
        project_id=run.project_id,
        project="capitals",
        config_id=run.config_id,
        config={"type": "model", "model": "m", "name": "a label"},
        source_datapoint_id=run.datapoint_ids[0],
    )


def test_a_parent_is_found_by_id_and_by_reference(run: Run) -> None:
    """parent_id takes either, parent_reference_id a reference; both, or an unknown one, do not."""
    parent = run.log(reference_id="root")["id"]
    for given in ({"parent_id": parent}, {"parent_id": "root"}, {"parent_reference_id": "root"}):
        shown = run.api.ok("Logs_get", id=run.log(1, **given)["id"])
        assert shown["parent_id"] == parent
    assert run.log_refused(parent_id=parent, parent_reference_id="root")[1] == "contradiction"
    run.api.missing("Evaluations_log", run.log_body(parent_id="nobody"), **run.path)


@pytest.mark.both_databases
def test_logging_again_keeps_both_and_shows_the_newest(run: Run) -> None:
    """The superseded log can still be read; the run's page has the newest one."""
    first, second = run.log(output="1")["id"], run.log(output="2")["id"]
    page = run.api.ok("Evaluations_listDatapoints", id=run.id)
    assert page["records"][0]["log"]["id"] == second
    assert [each["log"] for each in page["records"][1:]] == [None, None]
    assert run.api.ok("Logs_get", id=first)["output"] == "1"


def test_logs_change_by_id_and_by_reference(run: Run) -> None:
    """Output, error and duration change; what is not named, or null, stays."""
    log_id = run.log(output="a", error="e", reference_id="ref")["id"]
    run.api.ok("Logs_update", {"output": "b", "error": None}, id=log_id)
    shown = run.api.ok("Logs_updateByRef", {"duration": 1.0}, reference_id="ref")
    assert (shown["output"], shown["error"], shown["duration"]) == ("b", "e", 1.0)
    run.api.missing("Logs_updateByRef", {}, reference_id="unknown")


def test_a_reference_names_the_newest_log_that_has_it(run: Run) -> None:
    """Changes and children go to the newest of several, wherever it was logged."""
    older, newer = (run.log(row, output="a", reference_id="ref")["id"] for row in (1, 0))
    changed = run.api.ok("Logs_updateByRef", {"output": "b"}, reference_id="ref")
    assert (changed["id"], run.api.ok("Logs_get", id=older)["output"]) == (newer, "a")
    child = run.log(2, parent_reference_id="ref")["id"]
    shown = run.api.ok("Logs_get", id=child)
    assert (shown["parent_id"], shown["parent_reference_id"]) == (newer, "ref")


QUERIES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [2, 1, 0]),
    ({"sort": "timestamp.asc"}, [0, 1, 2]),
    ({"sort": "source.asc"}, [2, 1, 0]),
    ({"sort": ["model.asc", "source.desc"]}, [0, 1, 2]),
    ({"source_filter": ["b", "c"]}, [1, 0]),
    ({"model_filter": "m"}, [2, 1, 0]),
    ({"model_filter": "other"}, []),
    ({"search": "PARIS"}, [0]),
    ({"search": "needle"}, [1]),
    ({"search": "100%"}, []),
    ({"metadata_search": "abc"}, [2]),
    ({"version_status": "uncommitted"}, []),
    ({"version_status": "committed", "size": 1, "page": 1}, [1]),
    ({"start_date": "2024-01-02"}, [2, 1]),
    ({"start_date": "2024-01-02T00:00:00+05:00"}, [2, 1]),
    ({"start_date": "2024-01-02T00:00:00-05:00"}, [2]),
    ({"end_date": "2024-01-03T00:00:00-01:00"}, [2, 1, 0]),
    ({"end_date": "2024-01-03T00:00:00Z"}, [1, 0]),
    ({"start_date": "2024-01-02T00:00:01Z", "end_date": "2024-01-03"}, []),
]


@pytest.mark.both_databases
def test_logs_are_searched_filtered_and_sorted(run: Run) -> None:
    """Newest first; search looks at inputs and output, and its wildcards mean themselves."""
    ids = [
        run.log(0, output="Paris!", source="c", created_at="2024-01-01T00:00:00Z")["id"],
        run.log(1, inputs={"a": "a Needle"}, source="b", created_at="2024-01-02T00:00:00Z")["id"],
        run.log(2, metadata={"sha": "abc"}, source="a", created_at="2024-01-03T00:00:00Z")["id"],
    ]
    for query, found in QUERIES:
        answer = run.api.ok("Logs_list", project_id=run.project_id, **query)
        assert [each["id"] for each in answer["records"]] == [ids[index] for index in found], query


LANGUAGES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"output": "Zürich"}, {"search": "ZÜRICH"}, True),
    ({"output": "Zu\u0308rich"}, {"search": "zürich"}, True),
    ({"inputs": {"street": ["Straße", {"no": 17}]}}, {"search": "STRASSE"}, True),
    ({"inputs": {"street": ["Straße", {"no": 17}]}}, {"search": "17"}, True),
    ({"inputs": {"street": "x"}}, {"search": "street"}, False),
    ({"inputs": {"said": 'say "hi"\n'}}, {"search": 'say "hi"\n'}, True),
    ({"inputs": {"a": "one", "b": "two"}}, {"search": "onetwo"}, False),
    ({"inputs": {"a": "Οδυσσεύς"}}, {"search": "ΟΔΥΣΣΕΎΣ"}, True),
    ({"output": "x", "save": False}, {"search": "x"}, False),
    ({"metadata": {"Ärger": True}}, {"metadata_search": "ärger"}, True),
    ({"metadata": {"a": "x"}}, {"search": "x"}, False),
]


@pytest.mark.both_databases
def test_logs_are_found_in_any_language(run: Run) -> None:
    """Case does not matter beyond ASCII either, nor how JSON or Unicode spell a letter."""
    for given, query, found in LANGUAGES:
        log_id = run.log(**given)["id"]
        records = run.api.ok("Logs_list", project_id=run.project_id, **query)["records"]
        assert (log_id in {each["id"] for each in records}) == found, (given, query)


@pytest.mark.both_databases
def test_a_changed_output_is_found_by_what_it_is_now(run: Run) -> None:
    """The search follows PATCH."""
    log_id = run.log(output="before", inputs={"a": "kept"})["id"]
    run.api.ok("Logs_update", {"output": "after"}, id=log_id)
    totals = [
        run.api.ok("Logs_list", project_id=run.project_id, search=term)["total"]
        for term in ("before", "after", "kept")
    ]
    assert totals == [0, 1, 1]


@pytest.fixture
def rated(run: Run) -> dict[str, str]:
    """Return the ids of logs with feedback, by name."""
    early, late = "2024-05-01T00:00:00", "2024-05-01T23:00:00+00:00"
    given: dict[str, Any] = {
        "good": {"type": "rating", "value": "good"},
        "bad": [
            {"type": "rating", "value": "bad", "created_at": late},
            {"type": "rating", "value": "good", "created_at": early},
        ],
        "slow": [{"type": "a kind of mine", "value": ["slow", "wrong"]}],
        "mute": [],
    }
    return {name: run.log(feedback=feedback)["id"] for name, feedback in given.items()}


FEEDBACK_QUERIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"feedback-rating_filter": "good"}, ["good"]),
    ({"feedback-rating_filter": ["good", "bad"]}, ["bad", "good"]),
    ({"feedback-a kind of mine_filter": "wrong"}, ["slow"]),
    ({"feedback-rating_filter": "good", "feedback-a kind of mine_filter": "slow"}, []),
    ({"feedback-nothing_filter": "good"}, []),
    ({"sort": "feedback-rating.asc"}, ["bad", "good", "mute", "slow"]),
    ({"sort": "feedback-rating.desc"}, ["good", "bad", "mute", "slow"]),
]


@pytest.mark.both_databases
def test_logs_are_filtered_and_sorted_by_feedback(run: Run, rated: dict[str, str]) -> None:
    """The newest feedback of a kind counts, by the caller's time; logs without any come last."""
    for query, found in FEEDBACK_QUERIES:
        answer = run.api.ok("Logs_list", project_id=run.project_id, **query)
        shown = [each["id"] for each in answer["records"]]
        assert shown == [rated[name] for name in found], query


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("return_type", "values", "cases"),
    [
        (
            "boolean",
            (True, False),
            [("true", [0]), ("False", [1]), (["true", "false"], [1, 0]), ("maybe", [])],
        ),
        (
            "number",
            (1, 0.5),
            [
                ("0.5", [1]),
                (["1", "0.5"], [1, 0]),
                (["inf", "nan", "1e400", "1" + "0" * 5000], []),
            ],
        ),
    ],
)
def test_logs_are_filtered_by_verdict(
    api: Api, return_type: str, values: tuple[Any, Any], cases: list[tuple[Any, list[int]]]
) -> None:
    """`evaluator-{id}_filter` takes verdicts as text; what is no verdict matches no log."""
    run = make_run(api, return_type=return_type)
    ids = [run.log(row)["id"] for row in range(3)]
    for log_id, value in zip(ids, values, strict=False):
        run.result(log_id, value)
    for wanted, found in cases:
        query = {f"evaluator-{run.evaluator_id}_filter": wanted}
        answer = run.api.ok("Logs_list", project_id=run.project_id, **query)
        assert [each["id"] for each in answer["records"]] == [ids[row] for row in found], wanted


def test_a_config_without_a_type_is_a_models(run: Run) -> None:
    """The type is optional there: the run's own model is taken, and another is refused."""
    assert run.log(config={"model": "m"})["id"]
    assert run.log_refused(config={"model": "n"}) == (["body", "log", "config"], "contradiction")
