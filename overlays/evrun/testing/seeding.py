"""A running run and everything that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evrun import ConfigId, Evrun
    from evrun.results import Datapoint, Dataset, EvaluationRun, Evaluator, Project

ROWS: tuple[Mapping[str, Any], ...] = (
    {"inputs": {"country": "France"}, "target": {"answer": "Paris"}},
    {"inputs": {"country": "Peru"}, "target": {"answer": "Lima"}},
    {"inputs": {"country": "Kenya"}, "target": {"answer": "Nairobi"}},
)
"""The default rows of the dataset."""


@frozen(kw_only=True)
class Seeded:
    """The objects that `seed` created."""

    project: Project
    dataset: Dataset
    datapoints: tuple[Datapoint, ...]
    """One for each row, in order."""
    config_id: ConfigId
    evaluator: Evaluator
    """An external evaluator with boolean verdicts."""
    run: EvaluationRun
    """A running run: it accepts logs and verdicts."""


def seed(
    client: Evrun, *, rows: Iterable[Mapping[str, Any]] = ROWS, name: str = "seeded"
) -> Seeded:
    """Create a project, a dataset with `rows`, a config, an evaluator and a run, and start it.

    `name` is the project's name, which must be unique.
    """
    project = client.projects.create(name=name)
    dataset = client.datasets.create(project.id, name="rows", description="Rows for a test.")
    datapoints = client.datasets.create_datapoints(dataset.id, datapoints=[dict(r) for r in rows])
    config = client.model_configs.register({"project_id": project.id, "model": "test"})
    evaluator = client.evaluators.create(
        name="correct", description="", arguments_type="target_required", return_type="boolean"
    )
    run = client.evaluations.create(
        project_id=project.id,
        config_id=config.config_id,
        dataset_id=dataset.id,
        evaluator_ids=[evaluator.id],
    )
    return Seeded(
        project=project,
        dataset=dataset,
        datapoints=tuple(datapoints),
        config_id=config.config_id,
        evaluator=evaluator,
        run=client.run(run.id).start(),
    )
