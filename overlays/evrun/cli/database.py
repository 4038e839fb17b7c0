"""The option `--database`, opening what it names, and `evrun db`."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evrun.server.database import Database

DEFAULT_DATABASE = "sqlite:///evrun.db"
_AGAIN = "Run the command again."


def database_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--database`."""
    return click.option(
        "--database",
        metavar="URL",
        envvar="EVRUN_DATABASE",
        show_envvar=True,
        default=DEFAULT_DATABASE,
        show_default=True,
        help="Where the data lies: sqlite:///FILE, which serve, keys create and db upgrade make if "
        "there is none, or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    )(function)


@contextmanager
def opened(url: str, *, in_doubt: str = _AGAIN) -> Iterator[Database]:
    """Open the database at `url`, which is made if there is none, and close it in the end.

    Raises `ConfigurationError` if it cannot be used, `click.UsageError` for what it refuses.
    `in_doubt` says what to do if a change may be there or not.
    """
    with named(url, in_doubt=in_doubt) as database:
        database.open()
        yield database


@contextmanager
def existing(url: str, *, in_doubt: str = _AGAIN) -> Iterator[Database]:
    """Like `opened`, but for a database that is not there: that is an error, and none is made."""
    with named(url, in_doubt=in_doubt) as database:
        if database.revision() is None:
            raise ConfigurationError(
                f"{database.name}: there is no such database of evrun's. Check --database; "
                "`evrun db upgrade` makes a new one."
            )
        database.open()
        yield database


@contextmanager
def named(url: str, *, in_doubt: str = _AGAIN) -> Iterator[Database]:
    """Like `opened`, before it is opened."""
    require_server()
    from evrun.server.database import Database  # noqa: PLC0415 - an optional extra
    from evrun.server.refusals import (  # noqa: PLC0415
        DatabaseUnusable,
        OutcomeUnknown,
        Refusal,
        Unavailable,
    )

    try:
        database = Database(url)
        try:
            yield database
        finally:
            database.close()
    except (DatabaseUnusable, Unavailable) as error:
        raise ConfigurationError(str(error)) from error
    except OutcomeUnknown as error:
        # Its own sentence is for whoever sent a request.
        raise ConfigurationError(
            f"The database failed while it committed: the change may be there. {in_doubt}"
        ) from error
    except Refusal as error:
        raise click.UsageError(str(error)) from error


def require_server() -> None:
    """Raise `ConfigurationError` unless the `server` extra is installed."""
    try:
        for module in ("uvicorn", "prometheus_client", "evrun.server.app"):
            import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise ConfigurationError(
            f"The server needs {missing}. Install it with: pip install 'evrun[server]'"
        ) from error


@click.group
def db() -> None:
    """Look after a database: its schema, copies of it, and what is old in it."""


@db.command
@database_option
def upgrade(database: str) -> None:
    """Bring the schema to the newest revision, as `evrun serve` does when it starts."""
    with opened(database) as store:
        click.echo(f"{store.name} has schema {store.revision()}.")


@db.command
@database_option
def current(database: str) -> None:
    """Print the revision of the schema, and whether it is the newest. Nothing is changed."""
    with named(database) as store:
        from evrun.server.migrations import is_current  # noqa: PLC0415 - an optional extra

        revision = store.revision()
        if revision is None:
            click.echo(f"{store.name} has no schema yet; `evrun db upgrade` makes it.")
        elif is_current(revision, store.name):
            click.echo(f"{store.name} has schema {revision}, the newest.")
        else:
            click.echo(f"{store.name} has schema {revision}; `evrun db upgrade` brings the newest.")
