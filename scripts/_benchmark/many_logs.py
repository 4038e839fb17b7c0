"""How many logs a client sends to a server in a second: by single calls, and many at once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _benchmark.case import Figure, Inputs, seconds
from evrun import Evrun

if TYPE_CHECKING:
    from collections.abc import Iterator

SINGLE = 200
MANY = 4000


def many_logs(inputs: Inputs) -> list[Figure]:
    """Log outputs of 500 bytes to the embedded server, durably; the ratio is of the same run."""
    with tempfile.TemporaryDirectory() as folder, Evrun.local(Path(folder, "evals.db")) as client:
        project = client.projects.create(name="benchmark")
        dataset = client.datasets.create(project.id, name="rows", description="")
        rows = client.datasets.create_datapoints(
            dataset.id, datapoints=[{"inputs": {"n": str(n)}} for n in range(100)]
        )
        config = client.model_configs.register({"project_id": project.id, "model": "m"})
        run = client.evaluations.create(
            project_id=project.id,
            config_id=config.config_id,
            dataset_id=dataset.id,
            evaluator_ids=[],
        )
        bound = client.run(run.id)
        bound.start()

        def items(number: int) -> Iterator[dict[str, Any]]:
            for n in range(number):
                yield {"datapoint_id": rows[n % len(rows)].id, "log": {"output": "x" * 500}}

        def singly() -> None:
            for item in items(SINGLE):
                bound.log(item["datapoint_id"], log=item["log"])

        one = SINGLE / seconds(singly, inputs.repeat)
        many = MANY / seconds(lambda: bound.log_many(items(MANY)).raise_on_error(), inputs.repeat)
    return [
        Figure("logs: single calls", one, "/s"),
        Figure("logs: many at once", many, "/s"),
        Figure("logs: many at once against single calls", many / one, "x", at_least=3),
    ]
