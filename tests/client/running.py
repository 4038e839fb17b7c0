"""A run that takes logs, and everything that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evrun import Evrun
    from evrun.results import EvaluationRun


def running(client: Evrun) -> tuple[EvaluationRun, str]:
    """Make a run that is running, and return it with a datapoint's id."""
    project = client.projects.create(name="local")
    dataset = client.datasets.create(project.id, name="rows", description="One row.")
    (datapoint,) = client.datasets.create_datapoints(
        dataset.id, datapoints=[{"inputs": {"q": "1"}}]
    )
    config = client.model_configs.register({"project_id": project.id, "model": "m"})
    run = client.evaluations.create(
        project_id=project.id,
        config_id=config.config_id,
        dataset_id=dataset.id,
        evaluator_ids=[],
    )
    return client.run(run.id).start(), datapoint.id
