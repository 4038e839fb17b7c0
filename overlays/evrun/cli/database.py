"""Opening a database for a command: whatever is wrong with it becomes one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from evrun._extras import require
from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evrun.server.db.database import Database

_AGAIN = "Run the command again."


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
                f"{database.name}: there is no such database of evrun's. Check --database or "
                "EVRUN_LOCAL; `evrun db upgrade` makes a new one."
            )
        database.open()
        yield database


@contextmanager
def named(url: str, *, in_doubt: str = _AGAIN) -> Iterator[Database]:
    """Like `opened`, before it is opened."""
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
        # Its own sentence is for whoever sent a request.
        raise ConfigurationError(
            f"The database failed while it committed: the change may be there. {in_doubt}"
        ) from error
    except ApiError as error:
        raise click.UsageError(str(error)) from error


def spelled(url: str) -> str:
    """Return what a person writes after `--database`, without a password."""
    from sqlalchemy import make_url  # noqa: PLC0415 - an optional extra

    parsed = make_url(url)
    path = parsed.database if parsed.get_backend_name() == "sqlite" else None
    return parsed.render_as_string() if path is None else path
