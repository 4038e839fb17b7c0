"""A copy of a database as it is at one moment, while others go on writing.

SQLite copies itself, through its backup interface: in one step, which in WAL mode holds no writer
up and sees no half of a transaction. PostgreSQL is copied by its own `pg_dump`, from one snapshot:
what restores it, `pg_restore`, knows every version of PostgreSQL; a format of our own would not.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

from evrun._base.files import replacing
from evrun.server.db.backends.choice import parse
from evrun.server.db.backends.sqlite_files import absolute, is_there
from evrun.server.errors import DatabaseUnusableError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import URL

_LOCK_TIMEOUT = 60.0  # seconds that opening waits for a process that locks the file


def back_up(url: str, path: Path) -> None:
    """Write a copy of the database at `url` to the file `path`, whole or not at all.

    It is a SQLite file, or an archive for `pg_restore`. The schema is copied as it is, so that a
    copy can be made before an upgrade. Raises `DatabaseUnusableError` or `ConfigurationError`.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "postgresql":
        _dump(parsed, path)
    elif parsed.get_backend_name() == "sqlite" and parsed.database:
        _copy(absolute(parsed.database), path)
    else:
        raise DatabaseUnusableError(
            f"{parsed.render_as_string()} cannot be backed up: it is neither a SQLite file "
            "nor PostgreSQL."
        )


def _copy(source: Path, path: Path) -> None:
    if not is_there(source):
        raise DatabaseUnusableError(f"{source}: there is no such file to back up.")
    if path.exists() and path.samefile(source):
        raise DatabaseUnusableError(f"{path} is the database itself. Name another file.")
    for beside in ("-wal", "-journal"):
        # A process that opens the new file would take the old one's changes for its own.
        if path.with_name(path.name + beside).exists():
            raise DatabaseUnusableError(
                f"{path} is a database that is in use ({path.name}{beside} lies beside it). "
                "Name another file."
            )
    with replacing(path) as part:
        try:
            with (
                # Never made, if it has just gone.
                closing(
                    sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=_LOCK_TIMEOUT)
                ) as origin,
                closing(sqlite3.connect(part)) as copy,
            ):
                _require_ours(origin, source)
                origin.backup(copy)
                # One file: the mark that it works with a `-wal` beside it is copied too.
                copy.execute("PRAGMA journal_mode = DELETE")
                (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            raise DatabaseUnusableError(
                f"{source} could not be copied to {path}: {error}."
            ) from error
        if found != "ok":
            raise DatabaseUnusableError(
                f"{source} is damaged ({found}), and so would be its copy. Restore an older backup."
            )


def _require_ours(connection: sqlite3.Connection, source: Path) -> None:
    query = "SELECT count(*) FROM sqlite_schema WHERE name IN ('alembic_version', 'logs')"
    if connection.execute(query).fetchone() != (2,):
        raise DatabaseUnusableError(f"{source} is not a database of evrun's.")


def _dump(url: URL, path: Path) -> None:
    command = shutil.which("pg_dump")
    if command is None:
        raise DatabaseUnusableError(
            "Backing PostgreSQL up needs its own pg_dump in PATH, of the server's version or a "
            "newer one: the package is called postgresql-client, or much like it."
        )
    with replacing(path) as part:
        done = subprocess.run(  # noqa: S603 - the command that was found, and no shell
            [
                command,
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                "--no-password",
                f"--file={part}",
                f"--dbname={_conninfo(url)}",
            ],
            # Other users of the machine see a command's arguments, but not its environment.
            env={**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise DatabaseUnusableError(f"{url.render_as_string()} could not be dumped: {said}")


def _conninfo(url: URL) -> str:
    """Return where to connect to, in libpq's words, without the password."""
    known = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "dbname": url.database,
        **url.query,
    }
    known.pop("password", None)
    return " ".join(f"{name}={_quoted(value)}" for name, value in known.items() if value)


def _quoted(value: object) -> str:
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
