"""Runs made through a client, with everything that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evrun import Evrun
    from evrun.results import EvaluationRun


def prepare(client: Evrun) -> dict[str, Any]:
    """Make everything that a run needs, and the run."""
    project = client.projects.create(name="served")
    dataset = client.datasets.create(project.id, name="rows", description="Two rows.")
    datapoints = client.datasets.create_datapoints(
        dataset.id, datapoints=[{"inputs": {"q": "1"}}, {"inputs": {"q": "2"}}]
    )
    config = client.model_configs.register({"project_id": project.id, "model": "m"})
    evaluator = client.evaluators.create(
        name="exact", description="", arguments_type="target_free", return_type="boolean"
    )
    run = client.evaluations.create(
        project_id=project.id,
        config_id=config.config_id,
        dataset_id=dataset.id,
        evaluator_ids=[evaluator.id],
    )
    assert run.status == "pending"
    assert run.evaluatees is not None
    return {
        "run_id": run.id,
        "datapoint_ids": tuple(d.id for d in datapoints),
        "evaluator_id": evaluator.id,
        "evaluatee_id": run.evaluatees[0].id,
        "project_id": project.id,
    }


def running(client: Evrun) -> tuple[EvaluationRun, str]:
    """Make a run that is running, and return it with a datapoint's id."""
    prepared = prepare(client)
    return client.run(prepared["run_id"]).start(), prepared["datapoint_ids"][0]
