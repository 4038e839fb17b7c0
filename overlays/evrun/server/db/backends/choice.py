"""Which database a URL means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from evrun.server.errors import DatabaseUnusableError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from evrun.server.db.backends.backend import Backend


def backend_for(url: str | URL, *, busy_timeout: float) -> Backend:
    """Return the backend for a SQLAlchemy URL. Raises `DatabaseUnusableError`."""
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        from evrun.server.db.backends.sqlite import Sqlite  # noqa: PLC0415 - only what is used

        return Sqlite(parsed, busy_timeout=busy_timeout)
    if parsed.get_backend_name() == "postgresql":
        from evrun.server.db.backends.postgresql import Postgresql  # noqa: PLC0415 - as above

        return Postgresql(parsed, busy_timeout=busy_timeout)
    raise DatabaseUnusableError(
        f"{parsed.render_as_string()}: the server runs on sqlite:/// and "
        "postgresql+psycopg:// URLs."
    )


def parse(url: str | URL) -> URL:
    """Return the parts of a SQLAlchemy URL. Raises `DatabaseUnusableError`, showing no password."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        # Where a password begins and ends in what cannot be read, nobody knows.
        shown = "What was given" if "@" in str(url) or "?" in str(url) else repr(url)
        raise DatabaseUnusableError(
            f"{shown} is not a database URL. Write sqlite:///evals.db, "
            "sqlite:////absolute/path.db, or postgresql+psycopg://user:password@host/database, "
            "with [ and ] around an IPv6 address, and @ : / ? in a password as %40 %3A %2F %3F."
        ) from None
    if parsed.get_backend_name() == "sqlite" and isinstance(url, str) and "?" in url:
        # What follows would be dropped, and another file made or written to.
        raise DatabaseUnusableError(
            f"{parsed.database}: a SQLite URL ends with the file's name. "
            "If there is a ? in that, write %3F."
        )
    return parsed
