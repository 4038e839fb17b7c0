"""Sorting and filtering: what the arguments of lists become, and which are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from _support.fake_api import BASE_URL, KEY, FakeApi
from evrun import EvaluatorId, EvaluatorSort, Evrun, FeedbackSort, InvalidIdError
from evrun.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = {"records": [], "page": 0, "size": 50, "total": 0}


def asked(method: str, **given: Any) -> list[tuple[str, str]]:
    """Return the query of a list beyond project and page."""
    api = FakeApi(200, EMPTY)
    client = Evrun(api_key=KEY, base_url=BASE_URL, http_client=api.http_client())
    getattr(client, method).list("pr_1", **given)
    (request,) = api.requests
    usual = {"project_id", "page", "size"}
    return [each for each in request.url.params.multi_items() if each[0] not in usual]


@pytest.mark.parametrize(
    ("method", "given", "query"),
    [
        ("evaluations", {"sort": ["status.asc"]}, [("sort", "status.asc")]),
        (
            "evaluations",
            {"sort": [EvaluatorSort("evfn_1"), "dataset.desc"]},
            [("sort", "evaluator-evfn_1.desc"), ("sort", "dataset.desc")],
        ),
        (
            "evaluations",
            {"evaluation_ids": ["evrun_1", "ev_2"]},
            [("id", "evrun_1"), ("id", "ev_2")],
        ),
        ("evaluations", {"start_date": date(2024, 5, 1)}, [("start_date", "2024-05-01")]),
        ("evaluations", {"status_filter": ["running"]}, [("status_filter", "running")]),
        ("logs", {"sort": ("timestamp.desc",)}, [("sort", "timestamp.desc")]),
        (
            "logs",
            {"sort": [FeedbackSort("a b", "desc")]},
            [("sort", "feedback-a b.desc")],
        ),
        (
            "logs",
            {"feedback_filter": {"rating": ["good", "so & so"]}},
            [("feedback-rating_filter", "good"), ("feedback-rating_filter", "so & so")],
        ),
        (
            "logs",
            {"evaluator_filter": {EvaluatorId.parse("evfn_1"): [True, 0.5]}},
            [("evaluator-evfn_1_filter", "true"), ("evaluator-evfn_1_filter", "0.5")],
        ),
        (
            "logs",
            {"start_date": datetime(2024, 5, 1, 12, tzinfo=UTC), "end_date": date(2024, 6, 1)},
            [("start_date", "2024-05-01T12:00:00+00:00"), ("end_date", "2024-06-01")],
        ),
        (
            "logs",
            # Zones had offsets of seconds, which the API's timestamps cannot say.
            {"start_date": datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Paris"))},
            [("start_date", "1899-12-31T23:50:39+00:00")],
        ),
    ],
)
def test_arguments_become_the_query(
    method: str, given: dict[str, Any], query: list[tuple[str, str]]
) -> None:
    """Lists repeat their parameter, and names within names are written out."""
    assert asked(method, **given) == query


@pytest.mark.parametrize(
    ("method", "given", "sentence"),
    [
        ("evaluations", {"sort": "status.asc"}, r"sort: got 'status.asc' \(str\), expected a list"),
        (
            "evaluations",
            {"sort": ["state.asc"]},
            r"sort\[0\]: got 'state.asc' \(str\); the nearest known one is 'status.asc'",
        ),
        ("evaluations", {"sort": ["x"]}, r"sort\[0\]: got 'x' \(str\). Possible: dataset.asc, "),
        ("evaluations", {"sort": ["evaluator-evfn_1.asc"]}, "or an EvaluatorSort"),
        ("evaluations", {"sort": [FeedbackSort("rating")]}, r"sort\[0\]: got FeedbackSort"),
        ("evaluations", {"sort": [EvaluatorSort("evfn_1", "up")]}, r"sort\[0\].order: got 'up'"),  # type: ignore[arg-type]
        (
            "evaluations",
            {"status_filter": []},
            "status_filter: it is empty and would let everything",
        ),
        ("evaluations", {"id_filter": []}, "id_filter: it is empty"),
        ("evaluations", {"start_date": datetime.now(UTC)}, "the API takes a day"),
        ("evaluations", {"end_date": "2024-05-01"}, "expected a datetime.date. Use date.fromiso"),
        ("logs", {"sort": ["status.asc"]}, "or a FeedbackSort"),
        ("logs", {"sort": [FeedbackSort("a.b")]}, "'a.b': the API takes a name without a dot"),
        ("logs", {"start_date": datetime(2024, 5, 1)}, "has no time zone"),  # noqa: DTZ001
        ("logs", {"source_filter": []}, "source_filter: it is empty"),
        ("logs", {"feedback_filter": {"rating": "good"}}, "expected a list"),
        (
            "logs",
            {"feedback_filter": "good"},
            r"^feedback_filter: got 'good' \(str\), expected a ma",
        ),
        ("logs", {"feedback_filter": [("rating", ["good"])]}, "^feedback_filter: got list"),
        ("logs", {"feedback_filter": {}}, "^feedback_filter: it is empty"),
        ("logs", {"feedback_filter": {3: ["good"]}}, "^feedback_filter: got 3"),
        ("logs", {"evaluator_filter": {"evfn_1"}}, "^evaluator_filter: got set"),
        ("logs", {"evaluator_filter": {}}, "^evaluator_filter: it is empty"),
        ("logs", {"evaluator_filter": {"evfn_1": [{1}]}}, "^evaluator_filter"),
        ("logs", {"sort": [FeedbackSort(3)]}, r"^sort\[0\]\.type: got 3 \(int\)"),  # type: ignore[arg-type]
        ("logs", {"cursor": "\ud800"}, "^cursor: "),
        ("logs", {"cursor": 3}, r"^cursor: got 3 \(int\)"),
        ("logs", {"version_status": ["committed"]}, "^version_status: "),
        ("evaluations", {"cursor": 3}, "^cursor: "),
        (
            "logs",
            {"evaluator_filter": {"evfn_1": ["yes"]}},
            r"got 'yes' \(str\), expected true or false or a number",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(method: str, given: dict[str, Any], sentence: str) -> None:
    """Nothing is sent; the sentence names the argument and what it takes."""
    with pytest.raises(InvalidRequestError, match=sentence):
        asked(method, **given)


def test_what_no_address_can_hold_is_refused() -> None:
    """A filter with more values than fit is an error of ours that says what to do."""
    with pytest.raises(InvalidRequestError, match="query.* too long. Ask in parts"):
        asked("evaluations", id_filter=[f"evrun_{n:021}" for n in range(5000)])


def test_ids_in_sorts_and_filters_are_checked() -> None:
    """An id of another resource names its place."""
    with pytest.raises(InvalidIdError, match=r"sort\[0\].evaluator_id"):
        asked("evaluations", sort=[EvaluatorSort("evrun_1")])
    with pytest.raises(InvalidIdError, match="evaluator_filter"):
        asked("logs", evaluator_filter={"evrun_1": [True]})


def test_the_server_sorts_and_filters_as_asked(tmp_path: Path) -> None:
    """Every kind of sort and filter reaches the real server and is understood there."""
    with Evrun.local(tmp_path / "evals.db") as client:
        project = client.projects.create(name="capitals")
        dataset = client.datasets.create(project.id, name="rows", description="")
        rows = client.datasets.create_datapoints(dataset.id, datapoints=[{}, {}])
        config = client.model_configs.register({"project_id": project.id, "model": "m"})
        evaluator = client.evaluators.create(
            name="e",
            description="",
            arguments_type="target_free",
            return_type="boolean",
            type="external",
        )
        ids = []
        for verdicts in ((True, False), (True, True)):
            run = client.run(
                client.evaluations.create(
                    project_id=project.id,
                    config_id=config.config_id,
                    dataset_id=dataset.id,
                    evaluator_ids=[evaluator.id],
                ).id
            )
            run.start()
            ids.append(run.id)
            for row, verdict in zip(rows, verdicts, strict=True):
                rating = "good" if verdict else "bad"
                feedback = {"type": "rating", "value": rating}
                logged = run.log(row.id, log={"source": "ci", "feedback": feedback})
                run.result(logged.id, evaluator_id=evaluator.id, result=verdict)

        best = [EvaluatorSort(evaluator.id)]
        assert [each.id for each in client.evaluations.iter_all(project.id, sort=best)] == ids[::-1]
        logs = client.logs.iter_all(project.id, sort=[FeedbackSort("rating")], page_size=1)
        assert [each.feedback[0]["value"] for each in logs if each.feedback] == [
            *("bad", "good", "good", "good")
        ]
        good = client.logs.list(project.id, feedback_filter={"rating": ["good"]})
        true = client.logs.list(project.id, evaluator_filter={evaluator.id: [True]})
        assert good == true
        assert good.total == 3
