"""`evrun db`: maintain a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evrun._base.extras import require
from evrun.cli.database import existing, named, opened
from evrun.cli.group import Group
from evrun.cli.plurals import counted
from evrun.cli.quantities import DurationType
from evrun.cli.target import database_option, database_url
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import timedelta


@click.group(cls=Group)
def db() -> None:
    """Maintain a database: schema, backups, and old runs."""


@db.command
@database_option()
def upgrade(database: str | None) -> None:
    """Upgrade the schema to the newest revision, as `evrun serve` does when it starts.

    A missing database is created.
    """
    with opened(database_url(database)) as store:
        click.echo(f"{store.name} has schema {store.revision()}.")


@db.command
@database_option()
def current(database: str | None) -> None:
    """Print the revision of the schema, and whether it is the newest. Changes nothing."""
    with named(database_url(database)) as store:
        from evrun.server.db.migrations import is_current  # noqa: PLC0415 - an optional extra

        revision = store.revision()
        if revision is None:
            click.echo(f"{store.name} has no schema yet; `evrun db upgrade` creates it.")
        elif is_current(revision, store.name):
            click.echo(f"{store.name} has schema {revision}, the newest.")
        else:
            click.echo(f"{store.name} has schema {revision}; `evrun db upgrade` upgrades it.")


@db.command
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option()
def backup(file: Path, database: str | None) -> None:
    """Copy the database to FILE, as of one moment, while servers continue to write.

    The copy of a SQLite database is a SQLite file, which `evrun serve` can open. pg_dump copies
    PostgreSQL, for pg_restore. An existing FILE is replaced; it is never left incomplete.
    """
    url = database_url(database)
    require("A database", "server")
    from evrun.server.db.backup import back_up  # noqa: PLC0415 - an optional extra
    from evrun.server.errors import DatabaseUnusableError  # noqa: PLC0415

    try:
        back_up(url, file)
    except DatabaseUnusableError as error:
        raise ConfigurationError(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size:,} bytes.", err=True)


@db.command
@click.option(
    "--older-than",
    "age",
    metavar="AGE",
    required=True,
    type=DurationType(),
    help="How long ago a run ended: 90d, 12w, 36h.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted, and delete nothing.")
@database_option()
def prune(age: timedelta, database: str | None, *, dry_run: bool) -> None:
    """Delete runs that ended long ago, with their logs, feedback and results.

    Deletes a run if it is completed or cancelled, and neither the run nor any of its logs has
    changed since. Also deletes sessions without logs and expired idempotency keys. Keeps pending
    and running runs of any age, projects, datasets, model configs and evaluators. Works in small
    steps, so that servers can write. A SQLite file keeps its size; new data fills the free space.
    """
    again = "Run it again: it continues with the rest."
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
            f"Kept {counted(outcome.kept, 'run')} of that age, because of the status pending or "
            "running. Complete or cancel a run to delete it.",
            err=True,
        )
