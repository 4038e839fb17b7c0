"""Files in which no database can be: every command says so in one line."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from _support.commands import evrun, in_process
from evrun.server.db.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def newer(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    database.open()
    database.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (id)")


@frozen
class Place:
    """A name in a folder, and what lies there."""

    name: str
    said: str
    make: Callable[[Path], object] = lambda _: None


PLACES = (
    Place("missing/evals.db", "missing does not exist. Make it, or name another file."),
    Place("folder", "is a folder. Name a file in it", os.mkdir),
    Place("notes.txt", "not a SQLite database", lambda path: path.write_text("notes " * 99)),
    Place("recipes.db", "holds tables of something else (recipes…)", of_something_else),
    Place("newer.db", "was written by a newer evrun (schema 9999", newer),
    Place("pipe", "is a device, a pipe or a socket. Name a file.", os.mkfifo),
    Place("loop.db", "Too many levels of symbolic links", lambda path: path.symlink_to(path)),
)
COMMANDS = (
    ("db", "upgrade"),
    ("db", "current"),
    ("db", "prune", "--older-than", "1d"),
    ("keys", "list"),
    ("keys", "create", "me"),
    ("serve", "--port", "0"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_an_unusable_file_is_one_line(
    place: Place, command: tuple[str, ...], tmp_path: Path
) -> None:
    """With the path and what to do; status 3, and no file is made."""
    path = tmp_path / place.name
    place.make(path)
    before = set(tmp_path.rglob("*"))
    result = in_process(*command, "--database", f"sqlite:///{path}")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith(f"evrun: {path}")
    assert place.said in result.stderr
    assert result.stderr.count("\n") == 1
    assert set(tmp_path.rglob("*")) == before


def test_a_demo_has_one_line_too(tmp_path: Path) -> None:
    """It runs over the embedded server, and tries nothing again."""
    (tmp_path / "notes.txt").write_text("notes " * 99)
    result = evrun("demo", "--database", "notes.txt", cwd=tmp_path, check=False)
    assert (result.returncode, result.stdout) == (3, "")
    said = f"{tmp_path}/notes.txt: The file is not a SQLite database: name another one."
    assert result.stderr == f"evrun: {said}\n"


def test_a_backup_of_an_unusable_file_is_one_line(tmp_path: Path) -> None:
    """No copy is left."""
    (tmp_path / "folder").mkdir()
    url = f"sqlite:///{tmp_path}/folder"
    result = in_process("db", "backup", str(tmp_path / "copy.db"), "--database", url)
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "is a folder. Name a file in it" in result.stderr
    assert not (tmp_path / "copy.db").exists()
