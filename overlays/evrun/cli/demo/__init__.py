"""`evrun demo`: the main job from beginning to end, over the embedded server."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from evrun import Evrun
from evrun.cli.database import require_server
from evrun.cli.demo.capitals import ROWS, largest_city
from evrun.cli.demo.evaluation import Evaluation, evaluate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evrun.cli.demo.evaluation import Verdict


@click.command
@click.option(
    "--path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("evrun-demo.db"),
    show_default=True,
    help="The SQLite file to work on. It may exist already, from another demo or not.",
)
def demo(path: Path) -> None:
    """Evaluate a small function on 20 questions, with no key, network or port.

    Runs the real server in this process, creates a run, logs one generation for each datapoint and
    a verdict on each log, and shows what came of it.
    """
    require_server()
    with Evrun.local(path) as client:
        evaluation = evaluate(client, ROWS, largest_city)
    _show(evaluation, path)


def _show(evaluation: Evaluation, path: Path) -> None:
    console = Console()
    console.print(
        "\nA function that answers with a country's largest city is asked for its capital."
    )
    console.print(f"Evaluation run [bold]{evaluation.run.id}[/] is {evaluation.run.status}.\n")
    console.print(_table(evaluation.verdicts))
    correct = sum(verdict.correct for verdict in evaluation.verdicts)
    aggregate, rows = evaluation.aggregate, evaluation.run.dataset.datapoint_count
    console.print(
        f"Exact match: [bold]{aggregate.aggregate_value}[/] over {aggregate.n} of {rows} rows, "
        f"as the server counts it ({correct} right)."
    )
    console.print(f"The data lies in {path.resolve()}\n", soft_wrap=True)
    console.print("Next:")
    for command in _next_commands(evaluation, path):
        console.print(f"  {command}", soft_wrap=True, highlight=False, markup=False)


def _table(verdicts: Iterable[Verdict]) -> Table:
    table = Table("datapoint", "output", Column("log id", no_wrap=True), "result", box=SIMPLE)
    for verdict in verdicts:
        style = None if verdict.correct else "red"
        table.add_row(
            verdict.question,
            verdict.output,
            verdict.log_id,
            "right" if verdict.correct else "wrong",
            style=style,
        )
    return table


def _next_commands(evaluation: Evaluation, path: Path) -> tuple[str, ...]:
    from sqlalchemy import URL  # noqa: PLC0415 - an optional extra

    database = shlex.quote(URL.create("sqlite", database=str(path)).render_as_string())
    address = f"http://127.0.0.1:8000/v4/evaluations/{evaluation.run.id}?evaluator_aggregates=true"
    return (
        f"export EVRUN_API_KEY=$(evrun keys create me --database {database})",
        f"evrun serve --database {database} &",
        f"curl -H \"X-API-KEY: $EVRUN_API_KEY\" '{address}'",
    )
