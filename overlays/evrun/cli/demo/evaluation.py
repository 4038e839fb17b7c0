"""The demo's evaluation, as a user would write it against the public API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evrun import Evrun, LogId
    from evrun.cli.demo.capitals import Row
    from evrun.results import Dataset, EvaluationRun, Evaluator, EvaluatorAggregate, Project

NAME = "evrun demo: capitals"


@frozen
class Verdict:
    """One datapoint, what was generated for it, and whether it matched."""

    question: str
    output: str
    log_id: LogId
    correct: bool


@frozen
class Evaluation:
    """A completed run."""

    run: EvaluationRun
    verdicts: tuple[Verdict, ...]
    aggregate: EvaluatorAggregate
    """The share of matches and the number of datapoints, as the server counts them."""


def evaluate(
    client: Evrun,
    rows: Sequence[Row],
    generate: Callable[[str], str],
    advanced: Callable[[int, int], object],
) -> Evaluation:
    """Evaluate `generate` on `rows`: create a run, log each output, judge each log, complete it.

    `advanced` gets the number of finished rows and the total.
    """
    project = _project(client)
    dataset = _dataset(client, project, rows)
    evaluator = _evaluator(client)
    config = client.model_configs.register(
        {"project_id": project.id, "model": "largest-city", "provider": "mock", "temperature": 0}
    )
    created = client.evaluations.create(
        project_id=project.id,
        config_id=config.config_id,
        dataset_id=dataset.id,
        evaluator_ids=[evaluator.id],
        name="largest city",
    )
    run = client.run(created.id)
    run.start()
    verdicts = []
    for datapoint in client.datasets.list_datapoints(dataset.id, size=len(rows)).records:
        country = (datapoint.inputs or {})["country"]
        expected = (datapoint.target or {})["capital"]
        started = time.perf_counter()
        output = generate(country)
        logged = run.log(
            datapoint.id,
            log={
                "inputs": {"country": country},
                "output": output,
                "duration": time.perf_counter() - started,
            },
        )
        correct = output == expected
        run.result(logged.id, evaluator_id=evaluator.id, result=correct)
        verdicts.append(Verdict(country, output, logged.id, correct))
        advanced(len(verdicts), len(rows))
    run.complete()
    completed = run.get(evaluator_aggregates=True)
    assert completed.evaluator_aggregates  # noqa: S101 - requested; there is one evaluator
    (aggregate,) = completed.evaluator_aggregates
    return Evaluation(completed, tuple(verdicts), aggregate)


def _project(client: Evrun) -> Project:
    found = client.projects.list(filter=NAME).records
    return next((p for p in found if p.name == NAME), None) or client.projects.create(name=NAME)


def _dataset(client: Evrun, project: Project, rows: Sequence[Row]) -> Dataset:
    for dataset in client.datasets.list():
        if dataset.name == NAME and dataset.datapoint_count == len(rows):
            return dataset
    dataset = client.datasets.create(
        project.id, name=NAME, description="Countries and their capitals."
    )
    client.datasets.create_datapoints(
        dataset.id,
        datapoints=[
            {"inputs": {"country": row.country}, "target": {"capital": row.capital}} for row in rows
        ],
    )
    return dataset


def _evaluator(client: Evrun) -> Evaluator:
    found = (e for e in client.evaluators.list() if e.name == NAME)
    return next(found, None) or client.evaluators.create(
        name=NAME,
        description="Whether the output is the capital, to the letter.",
        arguments_type="target_required",
        return_type="boolean",
    )
