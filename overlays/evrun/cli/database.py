"""Open a database for a command. Every failure becomes an error with one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from evrun._base.extras import require
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun.server.db.database import Database

_AGAIN = "Run the command again."


@contextmanager
def opened(url: str, *, in_doubt: str = _AGAIN) -> Iterator[Database]:
    """Open the database at `url`, or create it, and close it at the end.

    `in_doubt` says what to do if it is unknown whether a change was made. Raises
    `ConfigurationError` if the database cannot be used, `click.UsageError` if it refuses a value.
    """
    with named(url, in_doubt=in_doubt) as database:
        database.open()
        yield database


@contextmanager
def existing(url: str, *, in_doubt: str = _AGAIN) -> Iterator[Database]:
    """Like `opened`, but a missing database is an error: this creates none."""
    with named(url, in_doubt=in_doubt) as database:
        if database.revision() is None:
            raise ConfigurationError(
                f"{database.name}: this database does not exist or is empty. Check --database or "
                "EVRUN_LOCAL. `evrun db upgrade` creates a new one."
            )
        database.open()
        yield database


@contextmanager
def named(url: str, *, in_doubt: str = _AGAIN) -> Iterator[Database]:
    """Like `opened`, but do not open the database yet."""
    require("A database", "server")
    from evrun.server.db.database import Database  # noqa: PLC0415 - an optional extra
    from evrun.server.errors import (  # noqa: PLC0415
        ApiError,
        DatabaseUnusableError,
        OutcomeUnknownError,
        UnavailableError,
    )

    try:
        database = Database(url)
        try:
            yield database
        finally:
            database.close()
    except (DatabaseUnusableError, UnavailableError) as error:
        raise ConfigurationError(str(error)) from error
    except OutcomeUnknownError as error:
        # The error's own message is for HTTP clients.
        raise ConfigurationError(
            f"The database failed while it committed: the change may be there. {in_doubt}"
        ) from error
    except ApiError as error:
        raise click.UsageError(str(error)) from error


def spelled(url: str) -> str:
    """Return the value of `--database` that names this database, without a password."""
    from sqlalchemy import make_url  # noqa: PLC0415 - an optional extra

    parsed = make_url(url)
    path = parsed.database if parsed.get_backend_name() == "sqlite" else None
    return parsed.render_as_string() if path is None else path
