"""Which database a URL means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from evrun.server.refusals import DatabaseUnusable

if TYPE_CHECKING:
    from evrun.server.backends.backend import Backend


def backend_for(url: str, *, busy_timeout: float) -> Backend:
    """Return the backend for a SQLAlchemy URL. Raises `DatabaseUnusable`."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUnusable(
            f"{url!r} is no database URL. Write sqlite:///evals.db, sqlite:////absolute/path.db, "
            "or postgresql+psycopg://user:password@host/database."
        ) from None
    if parsed.get_backend_name() == "sqlite":
        from evrun.server.backends.sqlite import Sqlite  # noqa: PLC0415 - only what is used

        return Sqlite(parsed, busy_timeout=busy_timeout)
    if parsed.get_backend_name() == "postgresql":
        from evrun.server.backends.postgresql import Postgresql  # noqa: PLC0415 - as above

        return Postgresql(parsed, busy_timeout=busy_timeout)
    raise DatabaseUnusable(
        f"{parsed.render_as_string()}: the server runs on sqlite:/// and "
        "postgresql+psycopg:// URLs."
    )
