"""A SQLite file: how it is opened, read and written.

Work is handed over as a function of a connection. Writes run one at a time (`BEGIN IMMEDIATE`), and
`write` returns only after the commit is on the disk. Reads run beside them (WAL).

Forking closes idle connections first: a child must not even inherit SQLite's state
(https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_across_a_fork_).
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from evrun.server import migrations
from evrun.server.refusals import DatabaseUnusable, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")

BUSY_TIMEOUT = 10.0
"""Seconds that a write waits for other processes before it is answered with 503."""

_TURN = 0.02  # seconds after which a process that never pauses lets others write
_PAUSE = 0.0005  # seconds; measured to be enough (GENERATORS.md)
_FORK_PATIENCE = 5.0  # seconds that a fork waits for running transactions

_SENTENCES = {
    sqlite3.SQLITE_BUSY: "The database is locked by another process. Try again.",
    sqlite3.SQLITE_LOCKED: "The database is locked. Try again.",
    sqlite3.SQLITE_READONLY: "The database is read-only: check the file's permissions.",
    sqlite3.SQLITE_IOERR: "The disk under the database failed to read or write.",
    sqlite3.SQLITE_FULL: "The disk under the database is full.",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened: does its folder exist?",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged: restore it from a backup.",
    sqlite3.SQLITE_NOTADB: "The file is no SQLite database.",
}
_PERMANENT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN}


class Database:
    """The database at a SQLAlchemy URL such as `sqlite:///evals.db`. It opens at its first use."""

    def __init__(self, url: str, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = _path(url)
        self.busy_timeout = busy_timeout
        self._reset()
        _DATABASES.add(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('sqlite:///{self.path}')"

    def _reset(self) -> None:
        self._reader: Engine | None = None
        self._writer: Engine | None = None
        self._opening = threading.Lock()
        self._writing = threading.Lock()
        self._active = 0  # transactions under way
        self._idle = threading.Condition()
        self._last_pause = 0.0

    def open(self) -> None:
        """Open the file, making or upgrading it if needed.

        Raises `DatabaseUnusable` or `Unavailable`. Opening twice is fine.
        """
        with self._opening:
            if self._writer is not None:
                return
            writer = self._engine("BEGIN IMMEDIATE", connections=1)
            try:
                with self._explained():
                    self._prepare(writer)
            except BaseException:
                writer.dispose()
                raise
            self._reader = self._engine("BEGIN", connections=32)
            self._writer = writer

    def close(self) -> None:
        """Close the file. Using it again opens it again."""
        with self._opening:
            for engine in (self._reader, self._writer):
                if engine is not None:
                    engine.dispose()
            self._reader = self._writer = None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return `work`'s answer, from one consistent state. Raises `Unavailable`."""
        self.open()
        assert self._reader is not None  # noqa: S101 - `open` set it
        with self._counted(), self._explained(), self._reader.begin() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return `work`'s answer after its changes are durable. Raises `Unavailable`.

        Whatever `work` raises undoes its changes.
        """
        self.open()
        with self._counted(), self._writing:
            assert self._writer is not None  # noqa: S101 - `open` set it
            self._let_others_write()
            with self._explained(), self._writer.begin() as connection:
                return work(connection)

    def _let_others_write(self) -> None:
        # A writer that never pauses starves another process wholly.
        now = time.monotonic()
        if now - self._last_pause > _TURN:
            if self._active > 1:
                time.sleep(_PAUSE)
            self._last_pause = now

    def _engine(self, begin: str, *, connections: int) -> Engine:
        engine = create_engine(
            f"sqlite:///{self.path}", pool_size=connections, max_overflow=-1, pool_timeout=60
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

    def _prepare(self, writer: Engine) -> None:
        if not self.path.parent.is_dir():
            raise DatabaseUnusable(f"{self.path}: the folder {self.path.parent} does not exist.")
        raw = writer.raw_connection()
        try:
            assert isinstance(raw.dbapi_connection, sqlite3.Connection)  # noqa: S101
            _write_ahead(raw.dbapi_connection, self.busy_timeout)
        finally:
            raw.close()
        with writer.connect() as connection:
            # A plain look first: opening a current database imports no Alembic.
            revision = migrations.current(connection)
            connection.rollback()
        if not migrations.is_current(revision, str(self.path)):
            with writer.begin() as connection:
                migrations.upgrade(connection, str(self.path))

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._active += 1
        try:
            yield
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._explain(error.orig) or error from error
        except sqlite3.Error as error:
            raise self._explain(error) or error from error

    def _explain(self, error: BaseException | None) -> Exception | None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        sentence = _SENTENCES.get(code)
        if sentence is None:
            return None
        if code in _PERMANENT and self._writer is None:
            return DatabaseUnusable(f"{self.path}: {sentence}")
        return Unavailable(sentence)

    def before_fork(self) -> None:
        """Wait for transactions under way, then close idle connections."""
        self._opening.acquire()
        deadline = time.monotonic() + _FORK_PATIENCE
        self._idle.acquire()
        while self._active and (left := deadline - time.monotonic()) > 0:
            self._idle.wait(left)
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose()

    def after_fork_in_parent(self) -> None:
        """Go on; connections open as they are needed."""
        self._idle.release()
        self._opening.release()

    def after_fork_in_child(self) -> None:
        """Start anew, without closing what the parent may still use."""
        for engine in (self._reader, self._writer):
            if engine is not None:
                engine.dispose(close=False)
        self._reset()


def _path(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUnusable(
            f"{url!r} is no database URL. Write sqlite:///evals.db, or sqlite:////absolute/path.db."
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise DatabaseUnusable(
            f"{parsed.render_as_string()}: only sqlite:/// URLs are supported so far."
        )
    if not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnusable("A database needs a file: sqlite:///evals.db.")
    return Path(parsed.database).absolute()


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
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
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
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


_DATABASES: weakref.WeakSet[Database] = weakref.WeakSet()
_HELD: list[Database] = []  # strong references while a fork is under way


def _before_fork() -> None:
    _HELD.extend(_DATABASES)
    for database in _HELD:
        database.before_fork()


def _after_in_parent() -> None:
    while _HELD:
        _HELD.pop().after_fork_in_parent()


def _after_in_child() -> None:
    while _HELD:
        _HELD.pop().after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
