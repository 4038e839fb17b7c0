"""`evrun export` and `evrun import`: runs to files, and from files to a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evrun import Evrun
from evrun._files import replacing
from evrun.cli.counting import counted
from evrun.cli.database import require_server
from evrun.errors import ConfigurationError
from evrun.transfer import formats
from evrun.transfer.exporting import Export
from evrun.transfer.importing import Import
from evrun.transfer.ledger import Ledger

if TYPE_CHECKING:
    from collections import Counter

_NOT_ALL = 1

local_option = click.option(
    "--local",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A SQLite file to work on in this process, instead of the server at EVRUN_BASE_URL.",
)


@click.command("export")
@click.argument("subject", metavar="RUN|PROJECT")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(formats.WRITERS)),
    help="What to write; else the suffix of FILE says it, else it is jsonl.",
)
@click.option(
    "-o",
    "--output",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to; standard output if left out. It is replaced when all is there, not before.",
)
@local_option
def export(subject: str, format_name: str | None, path: Path | None, local: Path | None) -> None:
    """Write a run, or all runs and datasets of a project, to a file.

    RUN|PROJECT is an id, evrun_… or pr_…. Each datapoint comes with the newest log of the run and
    the verdicts on it. Formats hold the same: jsonl for programs, csv for spreadsheets (texts that
    a spreadsheet would run get an apostrophe in front), parquet for data frames.
    """
    name = format_name or _by_suffix(path)
    if path is None and name == "parquet":
        raise click.UsageError("Parquet is no text: name a file with -o.")
    with _client(local) as client:
        exported = Export(client, subject)
        if path is None:
            _print(exported, name)
        else:
            with replacing(path) as part, part.open("wb") as stream:
                formats.write(exported.records(), stream, name)
    click.echo(f"Exported {subject} as {name}: {_shown(exported.counts)}.", err=True)
    if exported.superseded:
        click.echo(
            f"Left behind: {counted(exported.superseded, 'log')} of the project that no run shows, "
            "as newer ones took their places.",
            err=True,
        )


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--project", metavar="NAME", help="Import into this project, instead of its own.")
@click.option(
    "--ids",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep here which new id each old one got. An import that ended early goes on with it.",
)
@local_option
def import_(file: Path, project: str | None, ids: Path | None, local: Path | None) -> None:
    """Make everything in FILE, which `evrun export` wrote, anew on a server.

    Servers give ids, so that everything gets a new one, and what refers to it refers to that. The
    project is found by its name or made, an evaluator or model config that is the same is used, and
    the rest is always new. Prints the ids of the new runs. Exit status 1: not everything could be
    carried over; what was left out is told.
    """
    with _client(local) as client, Ledger(ids) as ledger:
        imported = Import(
            client, lambda: formats.read(file), ledger, project=project, called=str(file)
        )
        imported.run()
    for run_id in imported.runs:
        click.echo(run_id)
    counts = _shown(imported.counts) or "nothing that was not there"
    click.echo(f"Imported {file}: {counts}.", err=True)
    for note in imported.notes:
        click.echo(note, err=True)
    for what, count in imported.left_out.items():
        click.echo(f"Left out: {count} {what}.", err=True)
    if imported.left_out:
        raise SystemExit(_NOT_ALL)


def _print(exported: Export, name: str) -> None:
    try:
        formats.write(exported.records(), sys.stdout.buffer, name)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise ConfigurationError(
            f"Standard output takes no more: {error.strerror or error}. What came is not whole."
        ) from error


def _shown(counts: Counter[str]) -> str:
    return ", ".join(counted(count, kind) for kind, count in sorted(counts.items()))


def _by_suffix(path: Path | None) -> str:
    if path is None or not path.suffix:
        return "jsonl"
    name = path.suffix.lower().removeprefix(".")
    if name not in formats.WRITERS:
        raise click.UsageError(
            f"{path} does not say its format: take .jsonl, .csv or .parquet, or add --format."
        )
    return name


def _client(local: Path | None) -> Evrun:
    if local is None:
        return Evrun()
    require_server()
    if not local.exists():
        raise ConfigurationError(f"{local}: there is no such file.")
    return Evrun.local(local)
