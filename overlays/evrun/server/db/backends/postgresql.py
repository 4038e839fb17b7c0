"""A PostgreSQL database, shared by any number of processes and hosts.

Reads see one state (`REPEATABLE READ`). Writes run side by side (`READ COMMITTED`): unique indexes
and row locks keep them apart. The loser of a race does its work again, and sees what won.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, func, select
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from evrun.server.db import migrations
from evrun.server.db.backends.backend import OTHER_TABLES, Backend, json_text
from evrun.server.errors import (
    DatabaseUnusableError,
    InvalidValueError,
    RepairNeededError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine import ExceptionContext

CONNECTIONS = 16
"""How many connections a process uses at most."""

_MIGRATING = 0x6576_7275_6E  # "evrun": the advisory lock under which a schema is changed
_IDLE_LIMIT = "60s"  # after which a host that vanished in a transaction holds its locks no more
_DRIVER = "psycopg"
# A host that vanished says nothing any more: connections to it are given up in about 20 seconds.
# libpq's names and units (https://www.postgresql.org/docs/current/libpq-connect.html), TCP only but
# for the first.
_LIBPQ_TIMEOUTS = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 10,  # seconds, while an answer is waited for
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds, while what was sent is not acknowledged
}

# By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), or its class.
_SENTENCES = {
    "25006": "The database is read-only: let it be written again, or name the primary.",
    "25P03": "PostgreSQL ended a transaction that idled too long. Try again.",
    "25P04": "PostgreSQL ended a transaction that took longer than it allows. Try again.",
    "40": "Too many writers at the same object. Try again.",
    "53100": "The disk under the database is full: make room there.",
    "53200": "The database is out of memory: give it more, or use fewer connections.",
    "53300": "The database takes no more connections: raise max_connections, or use fewer workers.",
    "55P03": "The object is locked by another writer. Try again.",
    "57014": "The database took too long. Try again.",
    "57P": "PostgreSQL is starting or stopping. Try again.",
    "58": "The disk under the database failed to read or write: PostgreSQL's log says more.",
}
# What a person has to mend: by SQLSTATE too.
_OUT_OF_ORDER = {
    "3F000": OTHER_TABLES,  # the schema
    "42501": "the database's user may not do this. Grant it.",
    "42703": OTHER_TABLES,  # a column
    "42P01": OTHER_TABLES,
}
_NO_DATABASE = re.compile('database ".*" does not exist')  # connecting fails without a state
_RESTORE = "Restore it from a backup; then restart the server."
_IMPATIENT = "SET LOCAL lock_timeout = '20ms'"
_LOCKED = "55P03"
_READ_ONLY = "25006"
_RACES = {
    "23503",  # a foreign key: what was referred to has just gone
    "23505",  # a unique index: the same has just been written
    "40001",  # serialization
    "40P01",  # deadlock
}


class Postgresql(Backend):
    """The database at a URL such as `postgresql+psycopg://user:password@host/database`."""

    many_writers = True

    def __init__(self, url: URL, *, busy_timeout: float) -> None:
        if url.drivername not in {"postgresql", f"postgresql+{_DRIVER}"}:
            raise DatabaseUnusableError(
                f"{url.render_as_string()}: of PostgreSQL's drivers the server uses psycopg. "
                "Write postgresql+psycopg://…"
            )
        self._url = url.set(drivername=f"postgresql+{_DRIVER}")
        self.busy_timeout = busy_timeout
        self._engine: Engine | None = None
        self._reader: Engine | None = None

    @property
    def name(self) -> str:
        """The URL, without the password."""
        return self._url.render_as_string()

    @property
    def is_open(self) -> bool:
        """Whether there is a pool."""
        return self._engine is not None

    def open(self) -> None:
        """Connect, making or upgrading the schema if needed."""
        engine = self._connect(CONNECTIONS)
        try:
            with engine.begin() as connection:
                # A plain look first: opening a current database imports no Alembic.
                revision = migrations.current(connection, self.name)
                current = migrations.is_current(revision, self.name)
                if not current:
                    connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
                    migrations.upgrade(connection, self.name)
        except BaseException:
            engine.dispose()
            raise
        self._reader = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._engine = engine

    def close(self, *, discard: bool = False) -> None:
        """Close the pool."""
        if self._engine is not None:
            self._engine.dispose(close=not discard)
        self._engine = self._reader = None

    def rest(self) -> None:
        """Close idle connections."""
        if self._engine is not None:
            self._engine.dispose()

    def revision(self) -> str | None:
        """Return the database's schema."""
        engine = self._connect(1)
        try:
            with engine.connect() as connection:
                return migrations.current(connection, self.name)
        finally:
            engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read what was committed before."""
        assert self._reader is not None  # noqa: S101 - `open` set it
        with self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, patient: bool) -> Iterator[Connection]:
        """Write beside others."""
        assert self._engine is not None  # noqa: S101 - `open` set it
        with self._engine.begin() as connection:
            if not patient:
                connection.exec_driver_sql(_IMPATIENT)
            yield connection

    def explain(self, error: BaseException) -> Exception | None:
        """Return a sentence for PostgreSQL's own reasons."""
        if isinstance(error, PoolTimeout):
            return UnavailableError("All connections to the database are busy. Try again.")
        if type(error).__module__.partition(".")[0] != _DRIVER:
            return None
        state = getattr(error, "sqlstate", None) or ""
        # Failures to connect, and lost connections, may come without a state.
        kinds = {each.__name__ for each in type(error).__mro__}  # ConnectionTimeout is one of them
        failed = not kinds.isdisjoint({"OperationalError", "InterfaceError"})
        if self.is_open and failed and _NO_DATABASE.search(str(error)):
            return RepairNeededError(
                f"{self.name}: PostgreSQL has no such database any more. {_RESTORE}"
            )
        if state.startswith("08") or (failed and not state):
            return UnavailableError(f"PostgreSQL cannot be reached. Does it run? {_line(error)}")
        if (reason := self._by_state(error, state)) is not None or self.is_open:
            return reason
        return DatabaseUnusableError(f"{self.name}: {_line(error)}")

    def _by_state(self, error: BaseException, state: str) -> Exception | None:
        if state == "54000":  # an index takes a few kilobytes
            return InvalidValueError(
                (), "A name or a reference is too long.", type="string_too_long"
            )
        if self.is_open and state in _OUT_OF_ORDER:
            said = getattr(error, "diag").message_primary  # noqa: B009 - all errors have it
            return RepairNeededError(f"{said}: {_OUT_OF_ORDER[state]}")
        known = (text for prefix, text in _SENTENCES.items() if state.startswith(prefix))
        sentence = next(known, None)
        return None if sentence is None else UnavailableError(sentence)

    def undone(self, error: BaseException) -> bool:
        """Return whether PostgreSQL itself refused: whatever else broke, it may have committed."""
        diagnostic = getattr(error, "diag", None)
        return getattr(diagnostic, "severity_nonlocalized", None) == "ERROR"

    def lost_a_race(self, error: BaseException, *, patient: bool) -> bool:
        """Return whether another transaction came first, or holds a lock."""
        state = getattr(error, "sqlstate", None)
        return state in _RACES or (state == _LOCKED and not patient)

    def _connect(self, connections: int) -> Engine:
        try:
            engine = create_engine(
                self._url,
                pool_size=connections,
                max_overflow=0,
                pool_timeout=self.busy_timeout,
                pool_pre_ping=True,  # PostgreSQL may have been restarted since
                json_serializer=json_text,
                hide_parameters=True,  # errors reach the log, and payloads must not
                connect_args={k: v for k, v in _LIBPQ_TIMEOUTS.items() if k not in self._url.query},
            )
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise DatabaseUnusableError(
                "PostgreSQL needs a driver. Install it with: pip install 'evrun[postgres]'"
            ) from error
        milliseconds = int(self.busy_timeout * 1000)

        def connect(connection: Any, _: object) -> None:
            connection.autocommit = True
            connection.execute("SET TIME ZONE 'UTC'")
            connection.execute(f"SET lock_timeout = {milliseconds}")
            connection.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_LIMIT}'")
            # What is acknowledged is on the disk. A stronger setting than `on` stays.
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
            connection.autocommit = False

        def judge(context: ExceptionContext) -> None:
            # A connection stays read-only as it began, and at a host that became a standby.
            if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
                context.is_disconnect = True

        event.listen(engine, "connect", connect)
        event.listen(engine, "handle_error", judge)
        return engine


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
