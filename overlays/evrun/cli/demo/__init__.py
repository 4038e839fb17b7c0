"""`evrun demo`: the main job from beginning to end, over the embedded server."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evrun.cli.database import spelled
from evrun.cli.demo.capitals import ROWS, largest_city
from evrun.cli.demo.evaluation import Evaluation, evaluate
from evrun.cli.output import Output, narrow_table
from evrun.cli.progress import progress
from evrun.cli.target import client, database_option, database_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from evrun.cli.demo.evaluation import Verdict


@click.command
@database_option("evrun-demo.db", "The database to work on; a missing one is created")
def demo(database: str) -> None:
    """Evaluate a small function on 20 questions, with no key, network or port.

    Runs the real server in this process, creates a run, logs one output for each datapoint and one
    verdict for each log, and shows the result. It reads no environment variable, so that the
    demo's data goes into a separate file unless you give --database.
    """
    with client(database, new=True) as embedded, progress("Evaluating") as advanced:
        evaluation = evaluate(embedded, ROWS, largest_city, advanced)
    _show(evaluation, spelled(database_url(database)))


def _show(evaluation: Evaluation, database: str) -> None:
    output = Output()
    output.print(
        "\nThe demo asks a function for capitals; it answers with each country's largest city."
    )
    output.print(f"Evaluation run [bold]{evaluation.run.id}[/] is {evaluation.run.status}.\n")
    output.print(_table(evaluation.verdicts))
    correct = sum(verdict.correct for verdict in evaluation.verdicts)
    aggregate, rows = evaluation.aggregate, evaluation.run.dataset.datapoint_count
    output.print(
        f"\nExact match: [bold]{aggregate.aggregate_value}[/] over {aggregate.n} of {rows} rows, "
        f"as the server counts it ({correct} right)."
    )
    place = database if "://" in database else Path(database).resolve()
    output.print(f"The data is in {place}\n", soft_wrap=True, highlight=False, markup=False)
    output.print("Next:")
    for command in _next_commands(evaluation, shlex.quote(database)):
        output.print(f"  {command}", soft_wrap=True, highlight=False, markup=False)


def _table(verdicts: Iterable[Verdict]) -> Table:
    # On a narrow screen long texts are folded. Ids are not, so that they can be copied.
    table = narrow_table()
    table.add_column("datapoint", overflow="fold")
    table.add_column("output", overflow="fold")
    table.add_column("log id", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for verdict in verdicts:
        table.add_row(
            verdict.question,
            verdict.output,
            verdict.log_id,
            "right" if verdict.correct else "wrong",
            style=None if verdict.correct else "red",
        )
    return table


def _next_commands(evaluation: Evaluation, database: str) -> tuple[str, ...]:
    address = f"http://127.0.0.1:8000/v4/evaluations/{evaluation.run.id}?evaluator_aggregates=true"
    return (
        f"export EVRUN_API_KEY=$(evrun keys create me --database {database})",
        f"evrun serve --database {database} &",
        f"curl -H \"X-API-KEY: $EVRUN_API_KEY\" '{address}'",
    )
