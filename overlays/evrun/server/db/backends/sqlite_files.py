"""The files of a SQLite database: whether one can lie at a path, and whether it still lies there.

SQLite goes on with the files that it opened, wherever they are by now. What it writes into a file
that was deleted or replaced is lost, and it reports success. So we compare what lies at the paths
with what was opened: the device and the inode, which nobody else gets while the file is open.
A file whose content is overwritten in its place (`cp backup.db evals.db`) keeps both: only an empty
one is noticed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from evrun.server.errors import DatabaseUnusableError, RepairNeededError

_Identity = tuple[int, int]
"""Device and inode."""

_RESTART = "restart the server (with Evrun.local: close the client and make a new one)"


def absolute(path: str) -> Path:
    """Return the whole path. Raises `DatabaseUnusableError` if the current folder was deleted."""
    try:
        return Path(path).absolute()
    except FileNotFoundError as error:
        raise DatabaseUnusableError(
            f"{path}: the current folder was deleted. Change to another one, or name an absolute "
            "path."
        ) from error


def is_there(path: Path) -> bool:
    """Return whether there is a file. Raises `DatabaseUnusableError` if it cannot be a database."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:  # such as a link to itself, a name that is too long
        raise DatabaseUnusableError(
            f"{path}: the database file cannot be opened ({error.strerror}). Name another file."
        ) from error
    if stat.S_ISDIR(mode):
        raise DatabaseUnusableError(
            f"{path} is a folder. Name a file in it, such as {path}/evals.db."
        )
    if not stat.S_ISREG(mode):
        raise DatabaseUnusableError(f"{path} is a device, a pipe or a socket. Name a file.")
    return True


def check_folder(path: Path) -> None:
    """Raise `DatabaseUnusableError` unless there is a folder in which the file can be made."""
    target = path.resolve()  # SQLite makes the file that a link leads to
    if not target.parent.is_dir():
        link = f" (a link to {target})" if path.is_symlink() else ""
        raise DatabaseUnusableError(
            f"{path}{link}: the folder {target.parent} does not exist. Make it, or name another "
            "file."
        )


def why_unopened(path: Path) -> str:
    """Return why SQLite could not open a file, which it does not say itself."""
    if path.exists() and not os.access(path, os.R_OK):
        return "The database file cannot be opened: this user may not read it."
    return "The database file cannot be opened: its folder must take writes."


class OpenFiles:
    """The files of a database that is open: it, and the `-wal` and `-shm` beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: _Identity | None = None
        self._beside: dict[str, _Identity | None] = {}

    @property
    def known(self) -> bool:
        """Whether the database was opened and not closed since, by this process or its parent."""
        return self._database is not None

    def remember(self) -> None:
        """Take what lies there for the database."""
        self._database = _identity(self._path)

    def remember_beside(self) -> None:
        """Take what lies beside it for the database's too. A connection must have it open."""
        real = os.path.realpath(self._path)  # SQLite follows links, and makes the others there
        self._beside = {each: _identity(each) for each in (f"{real}-wal", f"{real}-shm")}

    def forget_beside(self) -> None:
        """Expect nothing beside it: the last connection that closes deletes both."""
        self._beside = {}

    def forget(self) -> None:
        """Expect nothing any more."""
        self._database = None
        self._beside = {}

    def check(self) -> None:
        """Raise `RepairNeededError` unless all lie where they were opened."""
        if (problem := self.problem()) is not None:
            raise RepairNeededError(problem)

    def check_new(self) -> None:
        """Like `check`, for a connection that has just opened what lies there."""
        if not self._beside:
            self.remember_beside()
        self.check()

    def problem(self) -> str | None:
        """Return what happened to the files and what to do, None if they are all there."""
        try:
            there = os.stat(self._path)  # noqa: PTH116 - a third of the time of `Path.stat`
        except OSError as error:
            what = "was moved or deleted"
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                what = f"cannot be reached any more ({error.strerror})"
            return (
                f"{self._path}: the database file {what} while it was open. Put it back, or "
                f"{_RESTART} to begin with an empty one."
            )
        if (there.st_dev, there.st_ino) != self._database:
            return (
                f"{self._path}: the database file was replaced by another one while it was open. "
                f"Put the old one back, or {_RESTART} to go on with the new one."
            )
        if there.st_size == 0:
            return (
                f"{self._path}: the database file was emptied while it was open. Restore it from "
                f"a backup, then {_RESTART}."
            )
        for path, identity in self._beside.items():
            if _identity(path) != identity:
                return (
                    f"{path}: this file belongs to the database, and it was deleted or replaced "
                    f"while it was open. Stop the server by SIGTERM, so that it saves what is "
                    f"missing into {self._path.name}, and start it again (with Evrun.local: close "
                    "the client and make a new one)."
                )
        return None


def _identity(path: str | Path) -> _Identity | None:
    try:
        there = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
    return there.st_dev, there.st_ino
