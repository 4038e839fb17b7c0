"""Results in a terminal and in a notebook."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import attrs

from evrun import ConfigId, DatasetId, EvaluationRunId, LoggedItem, LoggedItems, LogId, ProjectId
from evrun.errors import EvrunError
from evrun.results import CreatedLog, Dataset, EvaluationRun, Log, Page

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DATASET = Dataset(
    id=DatasetId("evts_1"),
    project_id=ProjectId("pr_1"),
    name="capitals",
    description=None,
    datapoint_count=2,
    created_at=NOW,
    updated_at=NOW,
)
RUN = EvaluationRun(
    id=EvaluationRunId("evrun_1"),
    status="running",
    config={"id": "config_1"},
    created_at=NOW,
    updated_at=NOW,
    evaluators=(),
    dataset=DATASET,
    dataset_version_id="v1",
    dataset_snapshot=None,
    evaluator_aggregates=None,
    evaluatees=None,
)


def log(**fields: Any) -> Log:
    none = dict.fromkeys(field.name for field in attrs.fields(Log))
    made: dict[str, Any] = {**none, "config": {}, "evaluation_results": (), "updated_at": NOW}
    return Log(**{**made, "id": LogId("data_1"), "observability_status": "", **fields})


def test_a_repr_leaves_out_what_is_none() -> None:
    """Fields with a value, in one line; a moment as people write it."""
    assert repr(DATASET) == (
        "Dataset(id=DatasetId('evts_1'), project_id=ProjectId('pr_1'), name='capitals', "
        "datapoint_count=2, created_at=2026-01-02 03:04:05+00:00, "
        "updated_at=2026-01-02 03:04:05+00:00)"
    )


def test_a_repr_cuts_what_is_long() -> None:
    """A text, a result within a result, and a list: each within 80 characters or 3 entries."""
    said = repr(log(output="a" * 5_000 + "z", config_id=ConfigId("config_1")))
    assert "output='" + "a" * 20 in said
    assert "...aaa" in said
    assert "z'" in said
    assert len(said) < 500
    page = Page(
        records=tuple(log(output="x" * 1_000) for _ in range(20)),
        page=0,
        size=20,
        total=40,
        next_cursor=None,
    )
    assert repr(page).startswith("Page(records=(Log(id=LogId('data_1')")
    assert repr(page).endswith(", ...), page=0, size=20, total=40)")
    assert len(repr(page)) < 400
    assert "dataset=Dataset(id=DatasetId('evts_1')" in repr(RUN)
    assert len(repr(RUN)) < 400


def test_a_notebook_shows_a_table_of_escaped_texts() -> None:
    """What a model wrote is text, whatever it wrote."""
    shown = log(output="<script>alert(1)</script>", inputs={"city": "<b>"})._repr_html_()
    assert "<td>output</td><td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in shown
    assert "&lt;b&gt;" in shown
    assert "<script" not in shown
    assert "<b>" not in shown
    assert "<td>error</td>" not in shown
    assert "<td>status</td><td>running</td>" in RUN._repr_html_()


def test_a_page_is_a_row_for_each_record() -> None:
    """The columns that matter, at most 100 rows, and how many there are."""
    page = Page(
        records=tuple(log(output=f"<{n}>") for n in range(101)),
        page=0,
        size=101,
        total=300,
        next_cursor=None,
    )
    shown = page._repr_html_()
    assert "<caption>Page 0: 101 of 300, the first 100 of them</caption>" in shown
    assert "<th>output</th>" in shown
    assert "<th>stdout</th>" not in shown
    assert shown.count("<tr>") == 101
    assert "<td>&lt;7&gt;</td>" in shown
    datasets = Page(records=(DATASET,), page=0, size=1, total=1, next_cursor=None)._repr_html_()
    assert "<th>name</th>" in datasets
    assert "<th>description</th>" not in datasets
    assert "<tbody></tbody>" in attrs.evolve(page, records=())._repr_html_()


def test_many_logs_show_what_failed() -> None:
    """A row for each failed item, with what was wrong."""
    stored = CreatedLog(id=LogId("data_1"), project_id=ProjectId("pr_1"), session_id=None)
    items = LoggedItems(
        (LoggedItem(index=0, log=stored), LoggedItem(index=1, error=EvrunError("a < b")))
    )
    shown = items._repr_html_()
    assert "<caption>1 stored, 1 failed</caption>" in shown
    assert "<tr><td>1</td><td>EvrunError</td><td>a &lt; b</td></tr>" in shown


def test_results_are_values_as_before() -> None:
    """They compare, hash and travel."""
    assert pickle.loads(pickle.dumps(DATASET)) == DATASET  # noqa: S301 - our own
    assert hash(DATASET) == hash(attrs.evolve(DATASET))
    assert attrs.evolve(DATASET, name="rivers") != DATASET
    assert not hasattr(DATASET, "__dict__")
