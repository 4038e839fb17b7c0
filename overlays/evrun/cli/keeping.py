"""`evrun db backup` and `evrun db prune`: keep what is needed, and nothing that is not."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import click

from evrun.cli.counting import counted
from evrun.cli.database import database_option, existing, require_server
from evrun.errors import ConfigurationError

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@click.command
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option
def backup(file: Path, database: str) -> None:
    """Copy the database to FILE, as it is at one moment, while servers go on writing.

    A SQLite database becomes a SQLite file, which `evrun serve` can open. PostgreSQL is copied by
    pg_dump, for pg_restore. FILE is replaced if it is there, and never left half written.
    """
    require_server()
    from evrun.server.backup import back_up  # noqa: PLC0415 - an optional extra
    from evrun.server.refusals import DatabaseUnusable  # noqa: PLC0415

    try:
        back_up(database, file)
    except DatabaseUnusable as error:
        raise ConfigurationError(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size:,} bytes.", err=True)


@click.command
@click.option(
    "--older-than",
    "age",
    metavar="AGE",
    required=True,
    callback=lambda _context, _option, value: _age(value),
    help="How long ago a run ended: 90d, 12w, 36h.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and delete nothing.")
@database_option
def prune(age: timedelta, database: str, *, dry_run: bool) -> None:
    """Delete runs that ended long ago, with their logs, feedback and results.

    A run goes if it is completed or cancelled, and neither it nor any of its logs has changed
    since. Runs that are pending or running stay, whatever their age, and so do projects, datasets,
    model configs and evaluators. Sessions without a log and expired idempotency keys go too. It
    works in small steps, so that servers go on writing. A SQLite file keeps its size, and new data
    fills the room.
    """
    with existing(database, in_doubt="Run it again: it goes on with what is left.") as store:
        from evrun.server import retention  # noqa: PLC0415 - an optional extra
        from evrun.server.store.scope import now  # noqa: PLC0415

        before = now() - age
        look = retention.preview if dry_run else retention.prune
        outcome = look(store, before)
    click.echo(
        f"{'Would delete' if dry_run else 'Deleted'} {counted(outcome.runs, 'run')} with "
        f"{counted(outcome.logs, 'log')} and {counted(outcome.results, 'result')}, "
        f"{counted(outcome.sessions, 'session')}, "
        f"{counted(outcome.idempotency_keys, 'idempotency key')}: "
        f"all from before {before:%Y-%m-%d %H:%M} UTC."
    )
    if outcome.kept:
        click.echo(
            f"As old, but kept because it is pending or running: {counted(outcome.kept, 'run')}. "
            "Complete or cancel what is to go.",
            err=True,
        )


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no age. Write a number and h, d or w: 90d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
