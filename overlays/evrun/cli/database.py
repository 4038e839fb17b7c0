"""The option `--database`, and opening what it names."""

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


def database_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--database`."""
    return click.option(
        "--database",
        metavar="URL",
        default=DEFAULT_DATABASE,
        show_default=True,
        help="Where the data lies, as an SQLAlchemy URL. A file is made if there is none.",
    )(function)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """Open the database at `url`, and close it in the end.

    Raises `ConfigurationError` if it cannot be used, `click.UsageError` for what it refuses.
    """
    require_server()
    from evrun.server.database import Database  # noqa: PLC0415 - an optional extra
    from evrun.server.refusals import (  # noqa: PLC0415
        DatabaseUnusable,
        Refusal,
        Unavailable,
    )

    try:
        database = Database(url)
        database.open()
        try:
            yield database
        finally:
            database.close()
    except (DatabaseUnusable, Unavailable) as error:
        raise ConfigurationError(str(error)) from error
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
