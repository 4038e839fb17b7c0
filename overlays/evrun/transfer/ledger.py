"""A map from old ids to new ids, in a file, so that it needs no memory."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

_IDENTITY = "import"  # the kind of the ledger's identity


class Ledger:
    """Pairs of ids, by kind. Without a path it uses a temporary file, which SQLite removes.

    With a path, a pair survives a killed process as soon as `put` has returned.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        # An empty name means a temporary file.
        self._file = sqlite3.connect(path or "", isolation_level=None)
        try:
            if path is not None:
                self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS ids (kind TEXT, old TEXT, new TEXT, "
                "PRIMARY KEY (kind, old)) WITHOUT ROWID"
            )
            self.put(_IDENTITY, "", str(uuid.uuid4()))  # on disk before the first request
            # After a power cut, an import repeats the lost pairs' requests with the same keys.
            self._file.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            self._file.close()
            raise ConfigurationError(
                f"{path} cannot be used to keep ids: {error}. Name another file with --ids."
            ) from error
        self._identity = uuid.UUID(self.get(_IDENTITY, ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def is_begun(self) -> bool:
        """Whether the ledger has any pair."""
        query = "SELECT 1 FROM ids WHERE kind != ?"
        return self._file.execute(query, (_IDENTITY,)).fetchone() is not None

    def get(self, kind: str, old: str) -> str | None:
        """Return the new id, or None."""
        query = "SELECT new FROM ids WHERE kind = ? AND old = ?"
        row = self._file.execute(query, (kind, old)).fetchone()
        return None if row is None else str(row[0])

    def put(self, kind: str, old: str, new: str) -> bool:
        """Store a new id, unless the old id has one. Return whether it was stored."""
        query = "INSERT OR IGNORE INTO ids VALUES (?, ?, ?)"
        return self._file.execute(query, (kind, old, new)).rowcount > 0

    def count(self, kind: str, new: str) -> int:
        """Return how many old ids became this new one."""
        query = "SELECT count(*) FROM ids WHERE kind = ? AND new = ?"
        return int(self._file.execute(query, (kind, new)).fetchone()[0])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Store all pairs of this block in one transaction."""
        self._file.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def key(self, kind: str, old: str) -> str:
        """Return the idempotency key for the new object. Each ledger has different keys.

        A continued import repeats a request with the same key, and the server then returns the
        object that it created before.
        """
        return str(uuid.uuid5(self._identity, f"{kind} {old}"))
