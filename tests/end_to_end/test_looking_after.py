"""`evrun db backup` and `evrun db prune`, as an operator runs them."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from _support.commands import evrun, in_process
from evrun import Evrun

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = ("--database", "evrun-demo.db")


def test_a_backup_is_a_database(tmp_path: Path) -> None:
    """What the demo left is copied, and the copy is served like any other."""
    evrun("demo", cwd=tmp_path)
    result = evrun("db", "backup", "copy.db", *DATABASE, cwd=tmp_path)
    assert result.stdout == ""
    assert result.stderr == f"copy.db: {(tmp_path / 'copy.db').stat().st_size:,} bytes.\n"
    assert evrun("keys", "list", "--database", "copy.db", cwd=tmp_path).returncode == 0


def test_a_backup_of_nothing_fails_and_makes_nothing(tmp_path: Path) -> None:
    """One line and status 3; there is no file of either name afterwards."""
    result = evrun("db", "backup", "copy.db", cwd=tmp_path, check=False)
    assert result.returncode == 3
    assert result.stderr == (f"evrun: {tmp_path / 'evrun.db'}: there is no such file to back up.\n")
    assert list(tmp_path.iterdir()) == []


def test_prune_says_what_goes_and_then_deletes_it(tmp_path: Path) -> None:
    """`--dry-run` tells the same and deletes nothing."""
    evrun("demo", cwd=tmp_path)
    assert (
        "Deleted 0 runs"
        in evrun("db", "prune", "--older-than", "90d", *DATABASE, cwd=tmp_path).stdout
    )
    with sqlite3.connect(tmp_path / "evrun-demo.db") as connection:
        connection.execute("UPDATE evaluation_runs SET updated_at = '2020-01-01 00:00:00.000000'")
        connection.execute("UPDATE logs SET updated_at = '2020-01-01 00:00:00.000000'")
    connection.close()
    said = "1 run with 20 logs and 20 results, 0 sessions, 0 idempotency keys: all from before"
    for more, verb in ((("--dry-run",), "Would delete"), ((), "Deleted"), ((), "Deleted 0")):
        result = evrun("db", "prune", "--older-than", "90d", *more, *DATABASE, cwd=tmp_path)
        assert result.stdout.startswith(verb)
        assert (said in result.stdout) == (verb != "Deleted 0")


def test_a_database_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever mistypes its name is told so, by all that does not begin something new."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.db").touch()
    for arguments in (
        ("db", "prune", "--older-than", "90d"),
        ("db", "prune", "--older-than", "90d", "--dry-run"),
        ("keys", "list"),
        ("keys", "revoke", "ci"),
    ):
        for name in ("evrnu.db", "empty.db"):
            result = in_process(*arguments, "--database", name)
            assert (result.exit_code, result.stdout) == (3, "")
            assert result.stderr == (
                f"evrun: {tmp_path / name}: this database does not exist or is empty. "
                "Check --database or EVRUN_LOCAL. `evrun db upgrade` creates a new one.\n"
            )
    (only,) = tmp_path.iterdir()
    assert only.stat().st_size == 0


def test_commands_work_on_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder whose name looks like a part of a URL, and on such a file: no other is made."""
    folder = tmp_path / "50%41 off?x"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def printed(*arguments: str) -> str:
        result = in_process(*arguments)
        assert result.exit_code == 0
        return result.stdout

    output = printed("demo", "--database", "a?b%20'c.db")
    (serve,) = (line for line in output.splitlines() if "evrun serve" in line)
    name = shlex.split(serve)[3]
    assert name == "a?b%20'c.db"
    printed("keys", "create", "me", "--database", name)
    printed("db", "upgrade")
    printed("keys", "create", "another")
    assert "the newest" in printed("db", "current")
    for source, key in ((name, "me"), ("sqlite:///evrun.db", "another")):
        printed("db", "backup", "copy%41?.db", "--database", source)
        for copy in ("copy%41?.db", "sqlite:///copy%2541%3F.db"):
            assert f"\n{key} " in printed("keys", "list", "--database", copy)
    assert list(tmp_path.iterdir()) == [folder]
    databases = {each.name for each in folder.iterdir() if not each.match("*-[ws][ah][lm]")}
    assert databases == {"a?b%20'c.db", "evrun.db", "copy%41?.db"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keys", "create", "new"), "If `evrun keys list` shows the new key, revoke it"),
        (("keys", "revoke", "old"), "`evrun keys list` shows whether it is revoked."),
        (("db", "prune", "--older-than", "90d"), "Run it again: it continues with the rest."),
    ],
)
def test_a_command_whose_outcome_is_unknown_says_how_to_find_out(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that cannot be synced may be there: a command has no request to send again."""
    file = tmp_path / "evrun.db"
    with Evrun.local(file) as client:
        client.sessions.create()
    database = ("--database", str(file))
    assert in_process("keys", "create", "old", *database).exit_code == 0
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE sessions SET updated_at = '2020-01-01 00:00:00.000000'")

    def commit(_: object, connection: sqlite3.Connection) -> None:
        connection.commit()
        if connection.total_changes:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

    monkeypatch.setattr(SQLiteDialect, "do_commit", commit)
    result = in_process(*arguments, *database)
    assert (result.exit_code, result.stdout) == (3, "")
    start = "evrun: The database failed while it committed: the change may be there. "
    assert result.stderr.startswith(start + said)
    assert "Idempotency-Key" not in result.stderr


@pytest.mark.parametrize("age", ["90", "0d", "d", "-1d", "90m", "1.5d", "٣d"])
def test_an_age_that_is_none_is_wrong_usage(age: str, tmp_path: Path) -> None:
    """Nothing is opened or deleted."""
    result = evrun("db", "prune", f"--older-than={age}", cwd=tmp_path, check=False)
    assert result.returncode == 2
    assert "is not a duration. Write a number and h, d or w: 12h, 30d, 52w." in result.stderr
    assert list(tmp_path.iterdir()) == []
