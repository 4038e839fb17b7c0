"""Which new id each old one got: in a file, so that memory does not grow with what is moved."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Self

from evrun.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Ledger:
    """Pairs of ids, by kind. Without a path it lies in a temporary file, which SQLite removes.

    With one, each pair outlives the death of the process from the moment on at which `put` returns.
    """

    def __init__(self, path: Path | None = None) -> None:
        # An empty name stands for a temporary file.
        self._file = sqlite3.connect(path or "", isolation_level=None)
        try:
            if path is not None:
                self._file.execute("PRAGMA journal_mode = WAL")
                self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS ids (kind TEXT, old TEXT, new TEXT, "
                "PRIMARY KEY (kind, old)) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            self._file.close()
            raise ConfigurationError(f"{path} cannot be used to keep ids: {error}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def get(self, kind: str, old: str) -> str | None:
        """Return the new id, None if there is none yet."""
        query = "SELECT new FROM ids WHERE kind = ? AND old = ?"
        row = self._file.execute(query, (kind, old)).fetchone()
        return None if row is None else str(row[0])

    def put(self, kind: str, old: str, new: str) -> bool:
        """Keep a new id, unless there is one. Return whether it was kept."""
        query = "INSERT OR IGNORE INTO ids VALUES (?, ?, ?)"
        return self._file.execute(query, (kind, old, new)).rowcount > 0
