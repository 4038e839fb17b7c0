"""`evrun db`: look after a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evrun._extras import require
from evrun.cli.database import existing, named, opened
from evrun.cli.duration import Duration
from evrun.cli.group import Group
from evrun.cli.plurals import counted
from evrun.cli.target import database_option, database_url
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta


@click.group(cls=Group)
def db() -> None:
    """Look after a database: its schema, copies of it, and what is old in it."""


@db.command
@database_option()
def upgrade(database: str | None) -> None:
    """Bring the schema to the newest revision, as `evrun serve` does when it starts.

    A database that is not there is made.
    """
    with opened(database_url(database)) as store:
        click.echo(f"{store.name} has schema {store.revision()}.")


@db.command
@database_option()
def current(database: str | None) -> None:
    """Print the revision of the schema, and whether it is the newest. Nothing is changed."""
    with named(database_url(database)) as store:
        from evrun.server.db.migrations import is_current  # noqa: PLC0415 - an optional extra

        revision = store.revision()
        if revision is None:
            click.echo(f"{store.name} has no schema yet; `evrun db upgrade` makes it.")
        elif is_current(revision, store.name):
            click.echo(f"{store.name} has schema {revision}, the newest.")
        else:
            click.echo(f"{store.name} has schema {revision}; `evrun db upgrade` brings the newest.")


@db.command
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option()
def backup(file: Path, database: str | None) -> None:
    """Copy the database to FILE, as it is at one moment, while servers go on writing.

    A SQLite database becomes a SQLite file, which `evrun serve` can open. PostgreSQL is copied by
    pg_dump, for pg_restore. FILE is replaced if it is there, and never left half written.
    """
    url = database_url(database)
    require("A database", "server")
    from evrun.server.db.backup import back_up  # noqa: PLC0415 - an optional extra
    from evrun.server.errors import DatabaseUnusable  # noqa: PLC0415

    try:
        back_up(url, file)
    except DatabaseUnusable as error:
        raise ConfigurationError(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size:,} bytes.", err=True)


@db.command
@click.option(
    "--older-than",
    "age",
    metavar="AGE",
    required=True,
    type=Duration(),
    help="How long ago a run ended: 90d, 12w, 36h.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and delete nothing.")
@database_option()
def prune(age: timedelta, database: str | None, *, dry_run: bool) -> None:
    """Delete runs that ended long ago, with their logs, feedback and results.

    A run goes if it is completed or cancelled, and neither it nor any of its logs has changed
    since. Runs that are pending or running stay, whatever their age, and so do projects, datasets,
    model configs and evaluators. Sessions without a log and expired idempotency keys go too. It
    works in small steps, so that servers go on writing. A SQLite file keeps its size, and new data
    fills the room.
    """
    again = "Run it again: it goes on with what is left."
    with existing(database_url(database), in_doubt=again) as store:
        from evrun.server.store import retention  # noqa: PLC0415 - an optional extra
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
