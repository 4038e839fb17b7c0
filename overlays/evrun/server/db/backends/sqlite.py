"""A SQLite file. Writes run one at a time (`BEGIN IMMEDIATE`), and reads run beside them (WAL)."""

from __future__ import annotations

import random
import re
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import URL, create_engine, event

from evrun.server.db import migrations
from evrun.server.db.backends.backend import OTHER_TABLES, Backend, json_text
from evrun.server.db.backends.sqlite_files import (
    OpenFiles,
    absolute,
    check_folder,
    is_there,
    why_unopened,
)
from evrun.server.errors import (
    DatabaseUnusableError,
    OutcomeUnknownError,
    RepairNeededError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

_TURN = 0.02  # seconds after which a process that never pauses lets others write
_PAUSE = 0.0005  # seconds; measured to be enough: without it, others starve wholly
_OPEN_ALL = "PRAGMA schema_version"  # a connection opens the `-wal` and `-shm` when it first reads

_SENTENCES = {
    sqlite3.SQLITE_BUSY: "The database is locked by another process. Try again.",
    sqlite3.SQLITE_LOCKED: "The database is locked. Try again.",
    sqlite3.SQLITE_IOERR: "The disk under the database failed to read or write: check the disk.",
    sqlite3.SQLITE_FULL: "The disk under the database is full: make room there.",
}
_OUT_OF_ORDER = {
    sqlite3.SQLITE_READONLY: "The database is read-only: check its permissions and its disk.",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged: restore it from a backup.",
    sqlite3.SQLITE_NOTADB: "The file is not a SQLite database: name another one.",
}
_NOT_IN_THE_SCHEMA = re.compile("no such (table|column)|has no column named")
# Of a commit's I/O, what comes before it is complete in the journal.
_BEFORE_THE_COMMIT = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
}


class Sqlite(Backend):
    """The file at a URL such as `sqlite:///evals.db`."""

    many_writers = False

    def __init__(self, url: URL, *, busy_timeout: float) -> None:
        if not url.database or url.database == ":memory:":
            raise DatabaseUnusableError(
                "A database needs a file, such as evals.db (as a URL: sqlite:///evals.db)."
            )
        self.path = absolute(url.database)
        self.busy_timeout = busy_timeout
        self._files = OpenFiles(self.path)
        self._reader: Engine | None = None
        self._writer: Engine | None = None
        self._last_pause = 0.0

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def is_open(self) -> bool:
        """Whether there is a writer."""
        return self._writer is not None

    def open(self) -> None:
        """Open the file, making or upgrading it if needed.

        After a fork it has to be the file that the parent opened.
        """
        forked = self._files.known
        if forked:
            self._files.check()
        else:
            self._make()
            self._files.remember()
        writer = self._engine("BEGIN IMMEDIATE", connections=1)
        reader = self._engine("BEGIN", connections=32)
        try:
            self._prepare(writer)
            self._files.check_new()
        except BaseException:
            writer.dispose()
            if not forked:
                self._files.forget()
            raise
        for engine in (writer, reader):
            event.listen(engine, "connect", self._connected)
        self._reader, self._writer = reader, writer

    def close(self, *, discard: bool = False) -> None:
        """Close the file."""
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose(close=not discard)
        self._reader = self._writer = None
        if discard:
            self._files.forget_beside()  # they end with the parent's last connection
        else:
            self._files.forget()

    def rest(self) -> None:
        """Close idle connections."""
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose()
        self._files.forget_beside()

    def revision(self) -> str | None:
        """Return the file's schema. A file that is not there is not made."""
        if not is_there(self.path):
            check_folder(self.path)
            return None
        engine = self._engine("BEGIN", connections=1)
        try:
            with engine.connect() as connection:
                return migrations.current(connection, self.name)
        finally:
            engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read, also while another connection writes."""
        assert self._reader is not None  # noqa: S101 - `open` set it
        self._files.check()
        with self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, patient: bool) -> Iterator[Connection]:
        """Write as the only one, of all processes: there is nothing else to wait for.

        Raises `RepairNeededError` for files that are gone, and `OutcomeUnknownError` if they went
        meanwhile: who puts them back finds the change.
        """
        del patient
        assert self._writer is not None  # noqa: S101 - `open` set it
        self._let_others_write()
        try:
            with self._writer.begin() as connection:
                self._files.check()
                yield connection
        except Exception as error:
            if _code(getattr(error, "orig", error)) == sqlite3.SQLITE_READONLY:
                # A connection stays read-only as it began, also when the disk takes writes again,
                # and so does each new one while others are open: they share what maps the `-shm`.
                self.rest()
            raise
        if (problem := self._files.problem()) is not None:
            raise OutcomeUnknownError(
                f"{problem} It happened while this request was carried out: the change may be in "
                "the file that was there. Send the request again under the same Idempotency-Key "
                "when that is back, or look."
            )

    def explain(self, error: BaseException) -> Exception | None:
        """Return a sentence for SQLite's own reasons."""
        code = _code(error)
        if code == 0:
            return None
        if self.is_open and (problem := self._files.problem()) is not None:
            return RepairNeededError(problem)
        if (sentence := _SENTENCES.get(code)) is not None:
            return UnavailableError(sentence if self.is_open else f"{self.path}: {sentence}")
        if code == sqlite3.SQLITE_CANTOPEN:
            sentence = why_unopened(self.path)
        elif code == sqlite3.SQLITE_ERROR and _NOT_IN_THE_SCHEMA.search(str(error)):
            sentence = f"{error}: {OTHER_TABLES}"
        else:
            sentence = _OUT_OF_ORDER.get(code)
        if sentence is None:
            return None
        if not self.is_open:
            return DatabaseUnusableError(f"{self.path}: {sentence}")
        return RepairNeededError(sentence)

    def undone(self, error: BaseException) -> bool:
        """Return whether the commit is not in the journal.

        What fails after it was written, such as its sync, leaves it there: this process goes on
        without it, and writes over it. But the next to open the file after a crash would find it.
        """
        code = getattr(error, "sqlite_errorcode", 0)
        return code & 0xFF != sqlite3.SQLITE_IOERR or code in _BEFORE_THE_COMMIT

    def lost_a_race(self, error: BaseException, *, patient: bool) -> bool:
        """Return False: there is one writer, so nobody races."""
        del error, patient
        return False

    def _let_others_write(self) -> None:
        # A writer that never pauses starves another process wholly.
        now = time.monotonic()
        if now - self._last_pause > _TURN:
            time.sleep(_PAUSE)
            self._last_pause = time.monotonic()

    def _engine(self, begin: str, *, connections: int) -> Engine:
        # `rw` does not make the file: a connection is opened whenever one more is needed.
        query = {"uri": "true", "mode": "rw"}
        engine = create_engine(
            URL.create("sqlite", database=self.path.as_uri(), query=query),
            pool_size=connections,
            max_overflow=-1,
            pool_timeout=60,
            json_serializer=json_text,
            hide_parameters=True,  # errors reach the log, and payloads must not
        )
        timeout = self.busy_timeout

        def connect(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
            # sqlite3 would begin transactions at times of its own; see "begin" below.
            connection.isolation_level = None
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")

        def start(connection: Connection) -> None:
            raw = connection.connection.dbapi_connection
            assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - the dialect is pysqlite
            _begin(raw, begin, timeout)

        event.listen(engine, "connect", connect)
        event.listen(engine, "begin", start)
        return engine

    def _make(self) -> None:
        """Make the file if it is not there. Nothing else does."""
        if not is_there(self.path):
            check_folder(self.path)
            sqlite3.connect(f"{self.path.as_uri()}?mode=rwc", uri=True).close()

    def _connected(self, connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        """Refuse a new connection that has opened other files than those before it."""
        connection.execute(_OPEN_ALL)
        self._files.check_new()

    def _prepare(self, writer: Engine) -> None:
        # A plain look first: what is somebody else's stays as it is, to the last byte, and opening
        # a current database imports no Alembic.
        current = migrations.is_current(self.revision(), self.name)
        raw = writer.raw_connection()
        try:
            assert isinstance(raw.dbapi_connection, sqlite3.Connection)  # noqa: S101
            _write_ahead(raw.dbapi_connection, self.busy_timeout)
            raw.dbapi_connection.execute(_OPEN_ALL)
        finally:
            raw.close()
        if not current:
            with writer.begin() as connection:
                migrations.upgrade(connection, self.name)


def _code(error: object) -> int:
    """Return SQLite's primary result code, 0 for another's error."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _begin(connection: sqlite3.Connection, statement: str, timeout: float) -> None:
    """Begin a transaction; poll rather than queue, because SQLite's own waiting grows unfair."""
    deadline = time.monotonic() + timeout
    if statement == "BEGIN":
        connection.execute(statement)
        return
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute(statement)
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311 - no secret
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")


def _write_ahead(connection: sqlite3.Connection, timeout: float) -> None:
    """Turn on WAL, which stays on. SQLite does not wait by itself if another process does too."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = _code(error) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return
