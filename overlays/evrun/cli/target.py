"""The target of a command: the database of `--database`, or one environment variable.

`--database` takes a path or a URL, EVRUN_LOCAL a path, EVRUN_BASE_URL the address of a server.
Without all three, a command opens and creates nothing.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evrun import Evrun
from evrun._base.extras import require
from evrun.cli.database import existing, opened, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOCAL, _ADDRESS = "EVRUN_LOCAL", "EVRUN_BASE_URL"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def database_option(
    default: str | None = None, what: str = "The database to work on", *, or_server: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--database`. `or_server`: without it, the command may talk to a server."""
    server = " or the server at EVRUN_BASE_URL" if or_server else ""
    otherwise = "" if default else f" If left out: the path in EVRUN_LOCAL{server}."
    return click.option(
        "--database",
        metavar="PATH|URL",
        default=default,
        show_default=default is not None,
        help=f"{what}. Give the path of a SQLite file, or a URL with ://, such as "
        f"postgresql://USER@HOST/NAME with the password in PGPASSWORD.{otherwise}",
    )


def database_url(given: str | None) -> str:
    """Return the URL of the target, for a command that needs a database.

    Raises `click.UsageError` if nothing, or a server, is named.
    """
    local, address = _environment(given)
    if given is None and not local:
        raise click.UsageError(
            f"This command needs a database, and {_ADDRESS} names a server: give --database "
            f"PATH|URL, or unset {_ADDRESS} and set {_LOCAL}."
            if address
            else f"No database is named. Give --database PATH|URL, or set {_LOCAL} to the path of "
            "a SQLite file."
        )
    return _url(local if given is None else given, _LOCAL if given is None else "--database")


@contextmanager
def client(given: str | None, *, new: bool = False) -> Iterator[Evrun]:
    """Yield a client of the target, a server or a database. `new` creates a missing database.

    Raises `click.UsageError` if nothing is named, `ConfigurationError` if it cannot be used.
    """
    local, address = _environment(given)
    if given is None and not local:
        if not address:
            raise click.UsageError(
                "No database and no server is named. Give --database PATH|URL, or set "
                f"{_LOCAL} to the path of a SQLite file, or set {_ADDRESS} to the address of a "
                "server (`evrun serve` starts one and prints it)."
            )
        with Evrun() as remote:
            yield remote
        return
    with (opened if new else existing)(database_url(given)) as database:
        from evrun.server.hosting.embedded import EmbeddedServer  # noqa: PLC0415 - an optional extra

        server = EmbeddedServer(database)
        with Evrun(
            api_key=server.key, base_url=server.base_url, transport=server.transport()
        ) as embedded:
            try:
                yield embedded
            finally:
                server.close()


def called(given: str | None) -> str:
    """Return the target's name for messages, without a password."""
    local, address = _environment(given)
    if given is None and not local:
        return address.rstrip("/")
    spelling = spelled(database_url(given))
    return spelling if "://" in spelling else str(Path(spelling).absolute())


def _environment(given: str | None) -> tuple[str, str]:
    """Return the values of both variables, or empty texts if `--database` is given."""
    if given is not None:
        return "", ""
    local, address = os.environ.get(_LOCAL, ""), os.environ.get(_ADDRESS, "")
    if local and address:
        raise click.UsageError(
            f"{_LOCAL} and {_ADDRESS} are both set, and only one can be meant. Unset one of them, "
            "or give --database PATH|URL."
        )
    return local, address


def _url(named: str, place: str) -> str:
    if not named:
        raise click.UsageError(f"{place} is empty. Give it the path or the URL of a database.")
    scheme = _SCHEME.match(named)
    if scheme is None:
        require("A database", "server")
        from sqlalchemy import URL  # noqa: PLC0415 - an optional extra

        return URL.create("sqlite", database=named).render_as_string()
    # No message shows the URL, because it may contain a password.
    if scheme[1].lower() in {"http", "https"}:
        raise click.UsageError(
            f"{place} is the address of a server ({scheme[0]}…), and it takes a database. "
            f"Set {_ADDRESS} to the address instead."
        )
    if place == _LOCAL:
        raise click.UsageError(
            f"{_LOCAL} is a URL ({scheme[0]}…), and it takes a path. Give the URL to --database."
        )
    require("A database", "server", *(("postgres",) if "postgres" in scheme[1].lower() else ()))
    return named
