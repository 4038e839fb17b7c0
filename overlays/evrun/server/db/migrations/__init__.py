"""Which schema a database has, and how it gets the current one.

Looking is a plain select; Alembic is imported only when there is something to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from evrun.server.db import organisations
from evrun.server.errors import DatabaseUnusableError

if TYPE_CHECKING:
    from sqlalchemy import Connection

REVISIONS = ("v0001",)
"""Every revision in `versions/`, oldest first (a test compares them)."""

_BEFORE_THE_RELEASE = ("0001", "0002", "0003", "0004", "0005", "0006")
"""Revisions that no release has made. `v0001` replaces them."""

FOLDER = Path(__file__).parent


def current(connection: Connection, name: str) -> str | None:
    """Return the revision of the database, None if it is empty.

    Raises `DatabaseUnusableError` for a database of something else.
    """
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" not in tables:
        if tables:
            raise DatabaseUnusableError(
                f"{name} holds tables of something else ({', '.join(sorted(tables)[:3])}…). "
                "Name an empty or a new one."
            )
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def is_current(revision: str | None, name: str) -> bool:
    """Return whether the database has the newest revision.

    Raises `DatabaseUnusableError` for a revision that this version cannot upgrade.
    """
    if revision in _BEFORE_THE_RELEASE:
        raise DatabaseUnusableError(
            f"{name} was made by an evrun from before the first release (schema {revision}) and "
            "cannot be upgraded. Export its projects with that evrun (evrun export), then import "
            "the files into a new database (evrun import)."
        )
    if revision is not None and revision not in REVISIONS:
        raise DatabaseUnusableError(
            f"{name} was written by a newer evrun (schema {revision}; this one knows up to "
            f"{REVISIONS[-1]}). Upgrade: pip install -U evrun"
        )
    return revision == REVISIONS[-1]


def upgrade(connection: Connection, name: str) -> None:
    """Bring the database to the newest revision, within the caller's write transaction.

    It does nothing if another process upgraded the database first.
    """
    if is_current(current(connection, name), name):
        return
    migrate(connection, REVISIONS[-1])
    organisations.find_or_create(connection)


def migrate(connection: Connection, revision: str) -> None:
    """Run the migrations up to `revision`."""
    from alembic import command  # noqa: PLC0415 - slow to import and rarely needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
