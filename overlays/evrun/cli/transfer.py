"""`evrun export` and `evrun import`: runs to files, and from files to a server."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evrun._base.extras import require
from evrun._base.files import replacing
from evrun.cli.plurals import counted
from evrun.cli.progress import progress
from evrun.cli.target import called, client, database_option
from evrun.errors import InvalidIdError
from evrun.transfer import formats
from evrun.transfer.exporting import Export
from evrun.transfer.importing import Import
from evrun.transfer.ledger import Ledger

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from evrun import Evrun
    from evrun.cli.progress import Advanced
    from evrun.transfer.records import Record

_NOT_ALL = 1


@click.command("export")
@click.argument("subject", metavar="RUN|PROJECT")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(formats.WRITERS)),
    help="The format. Default: by the suffix of FILE, or jsonl.",
)
@click.option(
    "-o",
    "--output",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, instead of standard output. It is replaced only when it is complete.",
)
@database_option(or_server=True)
def export(subject: str, format_name: str | None, path: Path | None, database: str | None) -> None:
    """Write a run, or all runs and datasets of a project, to a file.

    RUN|PROJECT is an id, evrun_… or pr_…. Each datapoint comes with the newest log of the run and
    its verdicts. All formats have the same content: jsonl for programs, csv for spreadsheets (a
    text that a spreadsheet would execute gets an apostrophe in front), parquet for data frames.
    """
    name = format_name or _by_suffix(path)
    if path is None and name == "parquet":
        raise click.UsageError("Parquet is not text: name a file with -o.")
    if name == "parquet":
        require("Parquet", "data")
    # Progress must not mix with records on the same screen.
    watched = progress("Exporting", shown=path is not None or not sys.stdout.isatty())
    with client(database) as source, watched as advanced:
        exported = _exported(source, subject)
        records = _watched(exported, advanced)
        if path is None:
            formats.write(records, sys.stdout.buffer, name)
        else:
            with replacing(path) as part, part.open("wb") as stream:
                formats.write(records, stream, name)
    click.echo(f"Exported {subject} as {name}: {_shown(exported.counts)}.", err=True)
    if exported.superseded:
        click.echo(
            f"Not exported: {counted(exported.superseded, 'log')} of the project that no run "
            "shows, because newer logs replaced them.",
            err=True,
        )


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--project",
    metavar="NAME",
    help="Import into this project, instead of the one that FILE names.",
)
@click.option(
    "--ids",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the new id of each old id in this file, also after the import.",
)
@database_option(what="The database to import into; a missing one is created", or_server=True)
def import_(file: Path, project: str | None, ids: Path | None, database: str | None) -> None:
    """Recreate the contents of FILE, which `evrun export` wrote, on a server.

    Everything gets a new id from the server, and references are translated. The import reuses a
    project of the same name and equal evaluators and model configs; everything else is new. Prints
    the ids of the new runs. Exit status 1: some data could not be imported; it is listed.

    An interrupted import leaves FILE.ids, or the file of --ids. The same command continues it, and
    creates nothing twice.
    """
    watched = progress("Importing")
    with client(database, new=True) as into, _ledger(ids, file) as ledger, watched as advanced:
        imported = Import(
            into,
            lambda: formats.read(file),
            ledger,
            project=project,
            called=str(file),
            target=called(database),
            advanced=advanced,
        )
        imported.run()
    for run_id in imported.runs:
        click.echo(run_id)
    counts = _shown(imported.counts) or "nothing new"
    click.echo(f"Imported {file}: {counts}.", err=True)
    for note in imported.notes:
        click.echo(note, err=True)
    for what, count in imported.left_out.items():
        click.echo(f"Left out: {count} {what}.", err=True)
    if imported.left_out:
        raise SystemExit(_NOT_ALL)


def _exported(source: Evrun, subject: str) -> Export:
    try:
        return Export(source, subject)
    except InvalidIdError as error:
        raise click.UsageError(
            f"{subject!r} is neither a run nor a project. Give the id of a run (evrun_…) or of a "
            "project (pr_…)."
        ) from error


def _watched(exported: Export, advanced: Advanced) -> Iterator[Record]:
    for each in exported.records():
        yield each
        advanced(exported.counts.total(), None)


@contextmanager
def _ledger(ids: Path | None, file: Path) -> Iterator[Ledger]:
    """Yield the ledger. The default file is deleted when the import is complete."""
    path = file.with_name(f"{file.name}.ids") if ids is None else ids
    is_new = not path.exists()
    in_vain = False
    try:
        with Ledger(path) as ledger:
            if ledger.is_begun:
                click.echo(f"Continuing an earlier import: {path} has its new ids.", err=True)
            try:
                yield ledger
            except BaseException:
                if ledger.is_begun:
                    again = "Run the same command again: it continues, and creates nothing twice."
                    click.echo(f"Not all was imported. {again} {path} has the new ids.", err=True)
                else:
                    in_vain = is_new
                raise
    finally:
        if in_vain:
            path.unlink(missing_ok=True)  # once closed: SQLite has removed what stood beside it
    if ids is None:
        path.unlink(missing_ok=True)  # two processes may have run the same import


def _shown(counts: Counter[str]) -> str:
    return ", ".join(counted(count, kind) for kind, count in sorted(counts.items()))


def _by_suffix(path: Path | None) -> str:
    if path is None or not path.suffix:
        return "jsonl"
    name = path.suffix.lower().removeprefix(".")
    if name not in formats.WRITERS:
        raise click.UsageError(
            f"{path} has an unknown suffix: use .jsonl, .csv or .parquet, or add --format."
        )
    return name
