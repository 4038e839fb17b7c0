"""A running run to log to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from evrun import Evrun

DATAPOINTS = 100
_PART = 1000  # datapoints in one request


@frozen
class Run:
    """What a log has to name."""

    id: str
    datapoint_ids: list[str]


def start_run(client: Evrun, datapoints: int = DATAPOINTS) -> Run:
    """Make a project with a dataset and a config, and start a run over them."""
    project = client.projects.create(name=f"benchmark-{time.time_ns()}")
    dataset = client.datasets.create(project.id, name="rows", description="")
    wanted = [{"inputs": {"n": str(n)}} for n in range(datapoints)]
    rows = [
        row
        for start in range(0, datapoints, _PART)
        for row in client.datasets.create_datapoints(
            dataset.id, datapoints=wanted[start : start + _PART]
        )
    ]
    config = client.model_configs.register({"project_id": project.id, "model": "m"})
    run = client.evaluations.create(
        project_id=project.id,
        config_id=config.config_id,
        dataset_id=dataset.id,
        evaluator_ids=[],
    )
    client.run(run.id).start()
    return Run(run.id, [row.id for row in rows])
